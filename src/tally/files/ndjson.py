"""Lines of JSON (NDJSON): a number, a string or an object with the field `value` in each."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tally import strict_json
from tally.amount import InvalidAmount, format_amount, parse_json
from tally.files.invalid import InvalidFile, excerpt
from tally.files.options import FileOptions
from tally.files.row import Row, checked_id

_WHOLE: Final = re.compile("-?[0-9]+")
_BLANKS: Final = " \t"


def rows(lines: Iterable[str], options: FileOptions) -> Iterator[Row]:
    """Read each line that is not blank; raise `InvalidFile` for the first that can't be added."""
    for line, text in enumerate(lines, 1):
        if not text.strip(_BLANKS):
            continue
        try:
            document = strict_json.read_text(text)
        except strict_json.NotJSON:
            raise InvalidFile("is not JSON; each line must be one JSON value", line) from None
        except strict_json.DuplicateField as error:
            raise InvalidFile(f"the field {excerpt(error.name)} is given twice", line) from None
        name, value = _value(document, options, line)
        try:
            amount = format_amount(parse_json(value))
        except InvalidAmount as error:
            raise InvalidFile(f"{name} {error}", line) from None
        yield line, amount, _id(document, options, line)


def _value(document: object, options: FileOptions, line: int) -> tuple[str, object]:
    """Find a line's value, and what to call it."""
    name = options.column or "value"
    if isinstance(document, dict):
        if options.column is None and "values" in document:
            raise InvalidFile("has a list of values: give each value a line of its own", line)
        return name, _field(document, name, "--column", line)
    if isinstance(document, list):
        raise InvalidFile("is a list: give each value a line of its own", line)
    if options.column is not None or options.id_column is not None:
        raise InvalidFile(f"must be an object with the field {excerpt(name)}", line)
    return name, document


def _id(document: object, options: FileOptions, line: int) -> str | None:
    if options.id_column is None or not isinstance(document, dict):
        return None
    found = _field(document, options.id_column, "--id-column", line)
    if not isinstance(found, str) or (
        isinstance(found, strict_json.Number) and not _WHOLE.fullmatch(found)
    ):
        raise InvalidFile("the id must be a string or a whole number", line)
    return checked_id(str(found).strip(_BLANKS), line)


def _field(document: dict[str, object], name: str, option: str, line: int) -> object:
    if name not in document:
        there = ", ".join(excerpt(field) for field in list(document)[:5]) or "none"
        raise InvalidFile(
            f"the field {name} is missing; {option} names another one of its fields: {there}", line
        )
    return document[name]
