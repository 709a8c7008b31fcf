"""Files as people have them, read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tally.amount import format_amount
from tally.files.content import read
from tally.files.invalid import InvalidFile
from tally.files.kept import KeptAmounts
from tally.files.options import FileOptions

Read = Callable[..., list[str] | str]


@pytest.fixture
def amounts(tmp_path: Path) -> Read:
    """Reads a content; returns its amounts, or why it is refused."""

    def amounts(content: bytes | str, form: str = "csv", **options) -> list[str] | str:
        file = tmp_path / "file"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            with read(str(file), FileOptions(form, **options)) as found:
                rows = [row for batch in found.kept.batches(3) for row in batch]
                if isinstance(found.kept, KeptAmounts):
                    assert (found.count, found.sum()) == (len(rows), sum(rows))
                    return [format_amount(amount) for amount in rows]
                return [f"{row_id}={format_amount(amount)}" for _, amount, row_id in rows]
        except InvalidFile as error:
            return str(error)

    return amounts
