"""A row of a file: a value, where it stands, and the id that it may have."""

import re
from typing import Final

from tally.files.invalid import InvalidFile, excerpt

# How spreadsheets write a long number: its last digits are gone.
_SHORTENED: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+")


Row = tuple[int, str, str | None]
"""A value: the line that it begins in, its amount as `read_matched` reads it, and its id in the
file, if that is read. Amounts are made of the texts while PostgreSQL works on those before."""


def checked_id(text: str, line: int) -> str:
    """Return the id of a row; raise `InvalidFile` for one that may not be its own."""
    if not text:
        raise InvalidFile("the id is missing", line)
    if _SHORTENED.fullmatch(text):
        raise InvalidFile(
            f"the id {excerpt(text)} was shortened by a spreadsheet: save ids as text", line
        )
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidFile(f"the id {excerpt(text)} is not text", line)
    return text
