"""The amount in a cell: which mark is the decimal one is known, said, or asked for."""

import re
import unicodedata
from typing import Final

from tally.amount import TEXT_PATTERN, InvalidAmount, parse_text
from tally.files.invalid import InvalidFile, excerpt
from tally.files.options import DecimalMark

_AMOUNT: Final = re.compile(TEXT_PATTERN)
# 1.000 is one, or a thousand where the comma is the decimal mark.
_PERHAPS_THOUSANDS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")
# Where the comma is the decimal mark, a point is none.
_EXCHANGED: Final = str.maketrans(",.", ".,")


class Cells:
    """Reads the amounts of a column."""

    def __init__(self, column: str, decimal: DecimalMark | None, *, point_is_known: bool) -> None:
        """`column` is how errors call it; a known point can be nothing but the decimal mark."""
        self._column = column
        self._comma = decimal == ","
        self._undecided = decimal is None and not point_is_known
        self._doubtful: tuple[int, str] | None = None

    def amount(self, text: str, line: int) -> str:
        """Return what a cell holds with a point; raise `InvalidFile` with the remedy."""
        if self._undecided and "." in text:
            self._weigh(text, line)
        pointed = text.translate(_EXCHANGED) if self._comma else text
        if _AMOUNT.fullmatch(pointed) is None:
            try:
                parse_text(pointed)
            except InvalidAmount as error:
                said = _explained(text, error, comma=self._comma)
                raise InvalidFile(f"{self._column}: {said}", line) from None
        return pointed

    def finish(self) -> None:
        """Refuse a column in which no value tells what its points are."""
        if self._undecided and self._doubtful is not None:
            line, text = self._doubtful
            whole = text.replace(".", "")
            raise InvalidFile(
                f"{self._column}: {excerpt(text)} is {text.replace('.', ',')} or {whole}, and no"
                " other value tells which: say --decimal . if the point is the decimal mark; if it"
                " separates thousands, save the file without",
                line,
            )

    def _weigh(self, text: str, line: int) -> None:
        if _PERHAPS_THOUSANDS.fullmatch(text) is None:
            self._undecided = False
        elif self._doubtful is None:
            self._doubtful = line, text


def _explained(text: str, error: InvalidAmount, *, comma: bool) -> str:
    """Say what is wrong with a cell, and what to do."""
    strange = next((letter for letter in text if not letter.isascii()), None)
    if strange is not None:
        name = unicodedata.name(strange, "no character")
        return f"{excerpt(text)} holds U+{ord(strange):04X} ({name}): {error}"
    if comma and error.rule == "not-a-number":
        return f"{excerpt(text)} must be a plain number such as 12,5, without other marks"
    if "," in text and not comma:
        return (
            f"{excerpt(text)} has a comma: say --decimal , if it is the decimal mark or"
            " --delimiter , if it separates columns; if it separates thousands, save the file"
            " without"
        )
    return f"{excerpt(text)} {error}"
