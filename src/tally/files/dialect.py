"""How a CSV file separates its cells: said, written in it, or plain from its first row."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tally.files.invalid import InvalidFile, excerpt
from tally.files.options import FileOptions
from tally.files.text import MAX_LINE

DELIMITERS: Final = ",;\t|"
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# What Excel writes, and obeys, in the first line.
_SEPARATOR_LINE: Final = re.compile(r'"?sep=([^\w"+\-.])"?', re.IGNORECASE)
_QUOTED: Final = r'"[^"]*(?:""[^"]*)*"'
_NUMBER: Final = re.compile(r"[+-]?[0-9.,]*[0-9][0-9.,]*")
# Stands in no text that anybody has, so it separates nothing.
_NEVER: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class Dialect:
    """A delimiter, and others that a row may not obey as well; one column has no delimiter."""

    delimiter: str
    rivals: str = ""

    @property
    def one_column(self) -> bool:
        return self.delimiter == _NEVER

    def cells(self, text: str, line: int) -> list[str]:
        """Split a row as RFC 4180 says; raise `InvalidFile` for stray quotes."""
        if '"' not in text:
            return text.split(self.delimiter)
        cell = f'(?:{_QUOTED}|[^"{re.escape(self.delimiter)}]*)'
        if re.fullmatch(f"{cell}(?:{re.escape(self.delimiter)}{cell})*", text) is None:
            raise InvalidFile(
                "a quote stands within a cell that does not begin and end with one:"
                " put the cell in quotes, and each quote in it twice",
                line,
            )
        csv.field_size_limit(MAX_LINE)
        return next(csv.reader([text], delimiter=self.delimiter, strict=True))

    def check_rivals(self, text: str, cells: Sequence[str], column: int, line: int) -> None:
        """Refuse a row whose value would be another number if a rival were the delimiter."""
        for rival in self.rivals:
            others = text.split(rival) if rival in text else ()
            if len(others) == len(cells) and _NUMBER.fullmatch(others[column].strip()):
                raise InvalidFile(
                    f"is {excerpt(cells[column])} or {excerpt(others[column])}, as a"
                    f" {_NAMES[self.delimiter]} or a {_NAMES[rival]} separates: say --delimiter",
                    line,
                )


def separator_line(text: str) -> str | None:
    """Return the delimiter that a first line such as "sep=;" gives."""
    match = _SEPARATOR_LINE.fullmatch(text)
    return None if match is None else match[1]


def recognize(first: str, given: str | None, options: FileOptions, line: int) -> Dialect:
    """Tell the dialect from the first row, unless it is said, or `given` by the file."""
    if given is not None and options.delimiter not in {None, given}:
        raise InvalidFile(
            f"a line before says sep={given}, and --delimiter something else: leave one out", line
        )
    said = options.delimiter or given
    if said is not None:
        return Dialect(said)
    plain = re.sub(_QUOTED, "", first)
    found = [delimiter for delimiter in DELIMITERS if delimiter in plain]
    if options.decimal == "," and "," in found:
        # Not between columns, unless no number and nothing else would separate them.
        if _NUMBER.fullmatch(first.strip()) is None and len(found) == 1:
            raise InvalidFile(
                "a comma separates its cells, and --decimal says that it is the decimal mark:"
                " say --delimiter, too",
                line,
            )
        found.remove(",")
    if len(found) > 1:
        names = " and ".join(f"a {_NAMES[delimiter]}" for delimiter in found)
        raise InvalidFile(f"has {names}: say which one separates cells by --delimiter", line)
    if not found:
        return Dialect(_NEVER)
    # A comma in a value is refused, so as another delimiter it can mislead nobody.
    return Dialect(found[0], DELIMITERS[1:].replace(found[0], ""))
