"""Values in and out: `tally add` and `tally export`."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tally.cli.errors import Refused, Unusable
from tally.cli.ledger import on_ledger
from tally.cli.options import example, json_option, print_result, progress_bar

if TYPE_CHECKING:
    from tally.amount import Amount
    from tally.ledger.database import Database
    from tally.ledger.export import FileFormat
    from tally.ledger.importer import Imported
    from tally.ledger.writer import Added, Writer

_FORMATS: Final = click.Choice(["csv", "ndjson"])
_SUFFIXES: Final[dict[str, "FileFormat"]] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


@click.command(epilog=example("tally add 12.5 .5 -- -3\n  tally add --file values.csv"))
@click.argument("values", nargs=-1)
@click.option("--file", "path", help="Add the values of this file; - is standard input.")
@click.option("--format", "form", type=_FORMATS, help="The file's format.")
@click.option("--key", help="Count these values once, however often this is run.")
@click.option("--again", default="", help="Count a file once more, under this label.")
@json_option
def add(
    values: tuple[str, ...],
    path: str | None,
    form: "FileFormat | None",
    key: str | None,
    again: str,
    as_json: bool,
) -> None:
    """Add values, or a file of them: all or none, exactly.

    A file is CSV (its column `value`, or the first) or has a JSON value on each line (NDJSON). It
    is known by its content: run twice, or again after it was broken off, it counts once. There must
    be a ledger: values added to a new one in the wrong place would be missing in the right one.
    """
    if bool(values) == (path is not None):
        raise click.UsageError("give either values or --file")
    if path is None:
        _add_values(values, key, as_json)
    elif key is not None:
        raise click.UsageError("--key goes with values; a file is known by its content")
    else:
        with _on_disk(path, form) as (file, file_format):
            _add_file(file, file_format, again, as_json)


def _add_values(texts: tuple[str, ...], key: str | None, as_json: bool) -> None:
    from tally.amount import format_amount
    from tally.ledger.writer import MAX_BATCH_VALUES, Key

    if len(texts) > MAX_BATCH_VALUES:
        raise Unusable(f"at most {MAX_BATCH_VALUES} values at once; use --file for more")
    values = [_amount(text) for text in texts]

    async def work(database: "Database") -> "Added":
        async with _writer(database) as writer:
            return await writer.add(
                values, None if key is None else Key.of(key, values, batch=True)
            )

    added = on_ledger(work)
    fields = {
        "first_id": added.first_id,
        "last_id": added.last_id,
        "sum": format_amount(added.sum),
        "count": added.count,
        "replayed": added.replayed,
    }
    done = "already counted" if added.replayed else "added"
    print_result(as_json, fields, f"{done} {len(values)}: the total was then {fields['sum']}")


def _amount(text: str) -> "Amount":
    from tally.amount import InvalidAmount, parse_text

    try:
        return parse_text(text)
    except InvalidAmount as error:
        raise Unusable(f"{text!r} {error}; nothing was added") from error


def _add_file(file: Path, form: "FileFormat", label: str, as_json: bool) -> None:
    from tally.amount import format_amount
    from tally.ledger.importer import InvalidFile, check_file, import_file

    try:
        checked = check_file(file, form)
    except InvalidFile as error:
        raise Unusable(f"{error}; nothing was added") from error

    async def work(database: "Database") -> "Imported":
        with progress_bar("Adding") as progress:
            async with _writer(database) as writer:
                return await import_file(writer, checked, label=label, progress=progress)

    done = on_ledger(work)
    fields = {
        "added": done.count - done.already,
        "already_counted": done.already,
        "sum": format_amount(done.last.sum),
        "count": done.last.count,
    }
    print_result(
        as_json,
        fields,
        f"added {fields['added']}, already counted {done.already}:"
        f" the total was then {fields['sum']}",
    )


@contextmanager
def _on_disk(path: str, form: "FileFormat | None") -> Iterator[tuple[Path, "FileFormat"]]:
    """Give the file and its format; standard input is kept on disk, to be read twice."""
    if path != "-":
        file = Path(path)
        if not file.is_file():
            raise Unusable(f"{path}: there is no such file")
        chosen = form or _SUFFIXES.get(file.suffix.lower())
        if chosen is None:
            raise Unusable(f"{path}: say --format csv or --format ndjson")
        yield file, chosen
        return
    import shutil
    import tempfile

    if form is None:
        raise Unusable("say --format csv or --format ndjson with standard input")
    with tempfile.NamedTemporaryFile(prefix="tally-") as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        spooled.flush()
        yield Path(spooled.name), form


@asynccontextmanager
async def _writer(database: "Database") -> AsyncIterator["Writer"]:
    """Run a writer for the block; what it refuses becomes one line."""
    from tally.ledger.writer import KeyReused, SumOutOfRange, Writer

    writer = Writer(database, queue_limit=sys.maxsize)
    writer.start()
    try:
        yield writer
    except (KeyReused, SumOutOfRange) as error:
        raise Refused(f"{error}; nothing was added") from error
    finally:
        await writer.close(1)


@click.command(epilog=example("tally export --output values.csv"))
@click.option("--format", "form", type=_FORMATS, default="csv")
@click.option("--output", "path", default="-", metavar="FILE", help="A file instead of stdout.")
def export(form: "FileFormat", path: str) -> None:
    """Stream every current entry, oldest first, as of one moment.

    FILE is there once it is whole.
    """
    from tally.cli.output import written
    from tally.ledger.export import export as run

    async def work(database: "Database") -> None:
        with written(path) as output:

            async def write(data: bytes) -> None:
                output.write(data)

            await run(database, form, write)

    with suppress(BrokenPipeError):  # who reads has read enough, as in `tally export | head`
        on_ledger(work)
