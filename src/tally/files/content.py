"""The content of a file, checked whole before any of it is used."""

import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tally.amount import Amount
from tally.files import ndjson, table
from tally.files.invalid import InvalidFile
from tally.files.kept import KeptAmounts, KeptRows
from tally.files.options import FileOptions
from tally.files.source import content, opened
from tally.files.text import lines

# Rows that are in memory at once.
_CHUNK: Final = 10_000


@dataclass(frozen=True, slots=True)
class Content:
    """Values that may all be added: how many, and a digest of the file's content.

    `kept` gives exactly these, whatever has become of the file.
    """

    count: int
    digest: str
    kept: KeptAmounts | KeptRows

    def sum(self) -> Amount:
        """Add up all values."""
        if isinstance(self.kept, KeptAmounts):
            return Amount(sum(map(sum, self.kept.batches(_CHUNK))))
        return Amount(sum(amount for rows in self.kept.batches(_CHUNK) for _, amount, _ in rows))


@contextmanager
def read(
    path: str,
    options: FileOptions,
    progress: Callable[[int, int], None] = lambda checked, size: None,
) -> Iterator[Content]:
    """Read a file, or standard input for "-", and keep its content for as long as the block lasts.

    Reads it once, in bounded memory. Raises `InvalidFile` for the first line that can't be added.
    `progress` gets how many bytes were checked, and of how many; of a pipe nobody knows.
    """
    with closing(KeptAmounts() if options.id_column is None else KeptRows()) as kept:
        with opened(path) as file:
            digest = hashlib.sha256(options.form.encode())
            text = lines(_digested(content(file), digest))
            rows = (table if options.form == "csv" else ndjson).rows(text, options)
            found = os.fstat(file.fileno())
            count = 0
            while chunk := list(itertools.islice(rows, _CHUNK)):
                kept.keep(chunk)
                count += len(chunk)
                if stat.S_ISREG(found.st_mode):
                    progress(file.tell(), found.st_size)
        if count == 0:
            raise InvalidFile("holds no values")
        kept.finish()
        yield Content(count, digest.hexdigest(), kept)


def _digested(blocks: Iterable[bytes], digest: Any) -> Iterator[bytes]:  # noqa: ANN401 - hashlib's
    for block in blocks:
        digest.update(block)
        yield block
