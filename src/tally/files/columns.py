"""Which column holds the values, and which the ids; whether the first row names them."""

import re
from dataclasses import dataclass
from typing import Final

from tally.files.invalid import InvalidFile, excerpt
from tally.files.options import FileOptions

_BLANKS: Final = " \t"
# A name: letters, no digits, and none of the words that stand for a number that is not there.
_NAME: Final = re.compile(r"[^\W\d]\D*")
_NO_NAMES: Final = frozenset(
    {"nan", "inf", "infinity", "null", "none", "nil", "na", "n/a", "true", "false"}
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Places in a row from 0, the row's width, and whether the first row is the header."""

    names: list[str]
    value: int
    id: int | None
    header: bool
    line: int

    @property
    def width(self) -> int:
        return len(self.names)

    def shown(self, column: int) -> str:
        """Say which column is meant."""
        name = f" ({self.names[column]})" if self.header else ""
        return f"column {column + 1}{name}"


def choose(cells: list[str], options: FileOptions, line: int) -> Columns:
    """Choose columns by the first row; raise `InvalidFile` where that leaves a doubt."""
    names = [cell.strip(_BLANKS) for cell in cells]
    value, named = _value(names, options, line)
    id_column = None
    if options.id_column is not None:
        id_column, id_named = _find(names, options.id_column, "--id-column", line)
        named = named or id_named
        if id_column == value:
            raise InvalidFile("the ids and the values can't be the same column", line)
    header = _is_header(names, value, named=named, options=options, line=line)
    return Columns(names, value, id_column, header, line)


def _value(names: list[str], options: FileOptions, line: int) -> tuple[int, bool]:
    """Find the values' column, and whether its name was found."""
    if options.column is not None:
        return _find(names, options.column, "--column", line)
    if len(names) == 1:
        return 0, names[0].lower() == "value"
    found = [place for place, name in enumerate(names) if name.lower() == "value"]
    if len(found) != 1:
        many = "several are" if found else "none is"
        raise InvalidFile(
            f"has {len(names)} columns ({_list(names)}), and {many} named value: say which one it"
            " is by --column NAME or --column NUMBER",
            line,
        )
    return found[0], True


def _find(names: list[str], wanted: str, option: str, line: int) -> tuple[int, bool]:
    """Find a column by its number or its name, and whether it was the name."""
    if wanted.isascii() and wanted.isdigit():
        if not 1 <= int(wanted[:9]) <= len(names):
            raise InvalidFile(f"has {len(names)} columns, and {option} says {wanted}", line)
        return int(wanted) - 1, False
    exact = [place for place, name in enumerate(names) if name == wanted]
    found = exact or [it for it, name in enumerate(names) if name.lower() == wanted.lower()]
    if len(found) != 1:
        many = "several columns are" if found else "no column is"
        raise InvalidFile(
            f"{many} named {excerpt(wanted)} ({_list(names)}): say its number by {option}", line
        )
    return found[0], True


def _is_header(
    names: list[str], value: int, *, named: bool, options: FileOptions, line: int
) -> bool:
    if options.header is not None:
        if named and not options.header:
            raise InvalidFile("names its columns, and --no-header says that it does not", line)
        return options.header
    if named or (_NAME.fullmatch(names[value]) and names[value].lower() not in _NO_NAMES):
        return True
    if len(names) == 1:
        return False
    raise InvalidFile(
        f"{excerpt(names[value])} may name the column or be its first value:"
        " say --header or --no-header",
        line,
    )


def _list(names: list[str]) -> str:
    most = 8
    return ", ".join(map(excerpt, names[:most])) + (", ..." if len(names) > most else "")
