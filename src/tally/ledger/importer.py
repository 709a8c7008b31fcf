"""Importing a file of values: check all before storing any, and count them exactly once.

A file is known by its content, and so are the keys of its batches: an import that was broken off
goes on where it stopped, and one that is run again adds nothing.
"""

import asyncio
import csv
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tally.amount import Amount, InvalidAmount, parse_number, parse_text
from tally.ledger.export import FileFormat
from tally.ledger.writer import MAX_BATCH_VALUES, Added, Key, Writer

# One is committed while the next is prepared.
_IN_FLIGHT: Final = 3
_BLOCK: Final = 1 << 20
# csv's own bound on a field, which would otherwise be the only limit on a line.
_MAX_LINE: Final = 1 << 20


class InvalidFile(ValueError):
    """A line can't be added; the message names the file, the line, the field and the rule."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A file whose every value may be added: how many there are, and its content's digest."""

    path: Path
    form: FileFormat
    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did; `already` of the `count` values had been counted before."""

    count: int
    already: int
    last: Added


class _Number(str):
    __slots__ = ()


def check_file(path: Path, form: FileFormat) -> Checked:
    """Read every value; raise `InvalidFile` for the first that can't be added."""
    count = sum(1 for _ in _values(path, form))
    if count == 0:
        raise InvalidFile(f"{path}: holds no values")
    digest = hashlib.sha256(form.encode())
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return Checked(path, form, count, digest.hexdigest())


async def import_file(
    writer: Writer, checked: Checked, *, label: str = "", progress: Callable[[int, int], None]
) -> Imported:
    """Add a checked file's values in batches; `progress` gets how many are stored, and of how many.

    `label` makes the same content count once more. Raises what `Writer.add` raises; the batches
    stored until then are recognized next time.
    """
    done = already = 0
    last: Added | None = None
    waiting: list[tuple[asyncio.Task[Added], int]] = []

    async def finish_first() -> None:
        nonlocal done, already, last
        task, size = waiting.pop(0)
        last = await task
        already += size if last.replayed else 0
        done += size
        progress(done, checked.count)

    try:
        for number, values in enumerate(_batches(_values(checked.path, checked.form))):
            key = Key.of(f"file {checked.digest} {label} {number}", values, batch=True)
            waiting.append((asyncio.create_task(writer.add(values, key)), len(values)))
            # Lets the writer send this batch while the next is read.
            await asyncio.sleep(0)
            if len(waiting) == _IN_FLIGHT:
                await finish_first()
        while waiting:
            await finish_first()
    finally:
        for task, _ in waiting:
            task.cancel()
    if last is None:
        raise InvalidFile(f"{checked.path}: was emptied meanwhile")
    return Imported(checked.count, already, last)


def _batches(values: Iterator[Amount]) -> Iterator[list[Amount]]:
    while batch := list(itertools.islice(values, MAX_BATCH_VALUES)):
        yield batch


def _values(path: Path, form: FileFormat) -> Iterator[Amount]:
    lines = _csv_values(path) if form == "csv" else _ndjson_values(path)
    for line, field, value in lines:
        try:
            yield parse_number(value) if isinstance(value, _Number) else parse_text(value)
        except InvalidAmount as error:
            raise InvalidFile(f"{path}, line {line}: {field} {error}") from None


def _csv_values(path: Path) -> Iterator[tuple[int, str, str]]:
    """Read the column named `value`, or the first one where no header names it."""
    csv.field_size_limit(_MAX_LINE)
    # utf-8-sig drops the mark that spreadsheets put first.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        column, names = 0, ["value"]
        try:
            for row in reader:
                if not row:
                    continue
                if reader.line_num == 1 and _is_header(row):
                    names = [name.strip() for name in row]
                    lowered = [name.lower() for name in names]
                    column = lowered.index("value") if "value" in lowered else 0
                    continue
                if column >= len(row):
                    raise InvalidFile(f"{path}, line {reader.line_num}: the value is missing")
                yield reader.line_num, names[column], row[column].strip()
        except csv.Error as error:
            raise InvalidFile(f"{path}, line {reader.line_num}: is not CSV ({error})") from None
        except UnicodeDecodeError:
            raise InvalidFile(f"{path}: is not text in UTF-8") from None


def _is_header(row: list[str]) -> bool:
    """Tell names from values: a header names a column `value`, or is text without any digit."""
    names = [cell.strip().lower() for cell in row]
    return "value" in names or not any(letter.isdigit() for name in names for letter in name)


def _ndjson_values(path: Path) -> Iterator[tuple[int, str, str]]:
    """Read a number, a string or {"value": ...} from each line."""
    decoder = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_constant)
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_MAX_LINE):
            number += 1
            text = line.strip(b" \t\r\n").removeprefix(b"\xef\xbb\xbf")
            if not text:
                continue
            try:
                value = decoder.decode(text.decode())
            except (ValueError, RecursionError):
                raise InvalidFile(f"{path}, line {number}: is not JSON in UTF-8") from None
            if isinstance(value, dict):
                if "value" not in value:
                    raise InvalidFile(f"{path}, line {number}: the field value is missing")
                value = value["value"]
            if not isinstance(value, str):
                raise InvalidFile(f"{path}, line {number}: value must be a number or a string")
            yield number, "value", value


def _constant(name: str) -> object:
    raise ValueError(name)
