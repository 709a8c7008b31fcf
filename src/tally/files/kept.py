"""What a file said, kept on disk: as much as it may be, and as it was when it was checked."""

import itertools
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tally.amount import Amount, read_matched
from tally.files.invalid import InvalidFile, excerpt
from tally.files.row import Row

KeptRow = tuple[int, Amount, str]
"""A row's line, amount and id."""

_CREATE: Final = "CREATE TABLE row (line INTEGER PRIMARY KEY, amount TEXT, id TEXT)"
_AFTER: Final = "SELECT line, amount, id FROM row WHERE line > ? ORDER BY line LIMIT ?"
_REPEATED: Final = """
    SELECT id, min(line), max(line) AS last FROM row
     GROUP BY id HAVING count(*) > 1 ORDER BY last LIMIT 1
"""


class KeptAmounts:
    """The amounts alone, one a line."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115

    def keep(self, rows: Sequence[Row]) -> None:
        try:
            self._file.write("".join([f"{amount}\n" for _, amount, _ in rows]))
        except OSError as error:
            raise _no_room(error.strerror) from None

    def finish(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise _no_room(error.strerror) from None

    def batches(self, size: int) -> Iterator[list[Amount]]:
        """Give the amounts in their order, at most `size` at a time."""
        self._file.seek(0)
        while lines := list(itertools.islice(self._file, size)):
            yield [read_matched(line[:-1]) for line in lines]

    def close(self) -> None:
        self._file.close()


class KeptRows:
    """Rows with ids, in a database of SQLite's, which sorts more than memory holds."""

    def __init__(self) -> None:
        # Without a name it is a temporary file, which nobody else sees.
        self._database = sqlite3.connect("")
        self._database.execute(_CREATE)

    def keep(self, rows: Sequence[Row]) -> None:
        try:
            self._database.executemany(
                "INSERT INTO row VALUES (?, ?, ?)",
                rows,
            )
        except sqlite3.OperationalError as error:
            raise _no_room(str(error)) from None

    def finish(self) -> None:
        """Refuse an id that two rows have."""
        try:
            repeated = self._database.execute(_REPEATED).fetchone()
        except sqlite3.OperationalError as error:
            raise _no_room(str(error)) from None
        if repeated is not None:
            row_id, first, last = repeated
            raise InvalidFile(
                f"the id {excerpt(row_id)} is that of line {first}, too: each row needs its own",
                last,
            )

    def batches(self, size: int) -> Iterator[list[KeptRow]]:
        """Give the rows in their order, at most `size` at a time."""
        line = 0
        while rows := self._database.execute(_AFTER, (line, size)).fetchall():
            yield [(line, read_matched(amount), row_id) for line, amount, row_id in rows]
            line = rows[-1][0]

    def leave_out(self, rows: Iterable[KeptRow]) -> None:
        """Give these no more."""
        self._database.executemany(
            "DELETE FROM row WHERE line = ?", [(line,) for line, _, _ in rows]
        )

    def close(self) -> None:
        self._database.close()


def _no_room(reason: str | None) -> InvalidFile:
    return InvalidFile(
        f"can't be kept in {tempfile.gettempdir()} ({reason}): set TMPDIR to a folder with room"
    )
