"""CSV: rows of cells, all of the same width."""

from collections.abc import Iterable, Iterator
from typing import Final

from tally.files import columns, dialect
from tally.files.cell import Cells
from tally.files.invalid import InvalidFile
from tally.files.options import FileOptions
from tally.files.row import Row, checked_id
from tally.files.text import MAX_LINE

_BLANKS: Final = " \t"
# Of these alone is a row in which spreadsheets keep nothing.
_EMPTY: Final = _BLANKS + dialect.DELIMITERS + '"'


def rows(lines: Iterable[str], options: FileOptions) -> Iterator[Row]:
    """Read each row that is not empty; raise `InvalidFile` for the first that can't be added."""
    records = _records(lines)
    line, first, given = _first(records)
    if first is None:
        return
    separated = dialect.recognize(first, given, options, line)
    first_cells = separated.cells(first, line)
    chosen = columns.choose(first_cells, options, line)
    cells = Cells(
        chosen.shown(chosen.value), options.decimal, point_is_known=separated.delimiter == ","
    )
    if not chosen.header:
        records = _again(line, first, records)
    for line, text in records:
        if text[:1] in _EMPTY and not text.strip(_EMPTY):
            continue
        row = separated.cells(text, line)
        value = row[chosen.value].strip(_BLANKS) if len(row) == chosen.width else ""
        if not value:
            if any(cell.strip(_BLANKS) for cell in row):
                raise InvalidFile(_incomplete(row, chosen), line)
            continue
        if separated.rivals:
            separated.check_rivals(text, row, chosen.value, line)
        amount = cells.amount(value, line)
        row_id = None if chosen.id is None else checked_id(row[chosen.id].strip(_BLANKS), line)
        yield line, amount, row_id
    cells.finish()


def _first(records: Iterator[tuple[int, str]]) -> tuple[int, str | None, str | None]:
    """Return the first row that is not empty, with its line, and the delimiter given before it."""
    given = None
    for line, text in records:
        found = dialect.separator_line(text.strip(_BLANKS)) if given is None else None
        if found is not None:
            given = found
        elif text.strip(_EMPTY):
            return line, text, given
    return 0, None, given


def _again(line: int, text: str, records: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield line, text
    yield from records


def _records(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Give each row with the line that it begins in; a quoted cell may go on in the next lines."""
    numbered = enumerate(lines, 1)
    for line, text in numbered:
        if '"' in text and text.count('"') % 2:
            yield line, _continued(line, text, numbered)
        else:
            yield line, text


def _continued(line: int, text: str, numbered: Iterator[tuple[int, str]]) -> str:
    parts, size = [text], len(text)
    for _, more in numbered:
        parts.append(more)
        size += len(more) + 1
        if size > MAX_LINE:
            break
        if more.count('"') % 2:
            return "\n".join(parts)
    raise InvalidFile("a quote is opened and not closed", line)


def _incomplete(row: list[str], chosen: columns.Columns) -> str:
    if len(row) == chosen.width:
        return f"{chosen.shown(chosen.value)}: the value is missing"
    return (
        f"has another number of cells ({len(row)}) than line {chosen.line} ({chosen.width}): put"
        " a cell in quotes if the delimiter stands in it; if another mark is the delimiter, say"
        " --delimiter"
    )
