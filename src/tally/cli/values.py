"""Values in and out: `tally add` and `tally export`."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from tally.cli import adding
from tally.cli.errors import Unusable
from tally.cli.ledger import on_ledger
from tally.cli.options import example, json_option, key_option, tell_age

if TYPE_CHECKING:
    from tally.files.options import DecimalMark, FileFormat

_FORMATS: Final = click.Choice(["csv", "ndjson"])
_CSV_SUFFIXES: Final = (".csv", ".tsv")


def _delimiter(context: click.Context, parameter: click.Parameter, given: str | None) -> str | None:
    mark = "\t" if given in {"tab", "\\t"} else given
    if mark is not None and (
        len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"+-.'
    ):
        raise click.BadParameter("must be one sign, such as ; or tab")
    return mark


@click.command(
    # So that a value may begin with its sign.
    context_settings={"ignore_unknown_options": True},
    epilog=example("tally add 12.5 .5 -3\n  tally add --file values.csv --column amount --dry-run"),
)
@click.argument("values", nargs=-1)
@click.option("--file", "path", help="Add the values of this file; - is standard input.")
@click.option("--format", "form", type=_FORMATS, help="The file's format.")
@click.option("--column", help="The column of the values: its name, or in CSV its number.")
@click.option("--id-column", help="The column of the rows' ids: each id counts once, in any file.")
@click.option("--delimiter", callback=_delimiter, help="What separates the cells of CSV.")
@click.option("--decimal", type=click.Choice([".", ","]), help="The decimal mark of CSV.")
@click.option("--header/--no-header", default=None, help="Whether CSV begins with names.")
@click.option("--again", metavar="LABEL", help="Count a file, or its ids, once more.")
@key_option("Count these values once, however often this is run.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, and store nothing.")
@json_option
def add(
    values: tuple[str, ...],
    path: str | None,
    key: str | None,
    dry_run: bool,
    as_json: bool,
    **of_file: Any,  # noqa: ANN401 - what is said of a file
) -> None:
    """Add values, or a file of them.

    Values are added all or none. A file is checked whole before any of it is added: CSV, of which
    the column named `value` or the only one is read, or a JSON value on each line (NDJSON); either
    may be compressed by gzip. What may mean two things is refused, and the message names the option
    that decides.

    A file is known by its content: run twice, or again after it was broken off, it counts once. A
    file that grew is another one, unless --id-column tells which rows were counted.

    There must be a ledger: values added to a new one in the wrong place would be missing in the
    right one.
    """
    unknown = [
        it for it in values if it.startswith("-") and not it[1:2].isdecimal() and it[1:2] != "."
    ]
    if unknown:
        raise click.NoSuchOption(unknown[0])
    if bool(values) == (path is not None):
        raise click.UsageError("give either values or --file")
    if path is None:
        given = [
            f"--{name.replace('_', '-')}" for name, said in of_file.items() if said is not None
        ]
        if given:
            raise click.UsageError(f"{given[0]} goes with --file")
        adding.add_values(values, key, dry_run=dry_run, as_json=as_json)
    elif key is not None:
        raise click.UsageError("--key goes with values; a file is known by its content")
    else:
        _add_file(path, dry_run, as_json, **of_file)


def _add_file(
    path: str,
    dry_run: bool,
    as_json: bool,
    *,
    form: "FileFormat | None",
    column: str | None,
    id_column: str | None,
    delimiter: str | None,
    decimal: "DecimalMark | None",
    header: bool | None,
    again: str | None,
) -> None:
    from tally.files.options import FileOptions

    form = form or _format_of(path)
    if form == "ndjson" and (delimiter or decimal or header is not None):
        raise click.UsageError("--delimiter, --decimal and --header go with CSV")
    label = again or ""
    if any("\ud800" <= letter <= "\udfff" for letter in label):
        raise click.UsageError("--again must be text in UTF-8")
    options = FileOptions(form, column, id_column, delimiter, decimal, header)
    adding.add_file(path, options, label, dry_run=dry_run, as_json=as_json)


def _format_of(path: str) -> "FileFormat":
    """Tell a file's format by its name, also where it is compressed."""
    from tally.files.options import NDJSON_SUFFIXES

    name = path.lower().removesuffix(".gz")
    if name.endswith(_CSV_SUFFIXES):
        return "csv"
    if name.endswith(NDJSON_SUFFIXES):
        return "ndjson"
    shown = "standard input" if path == "-" else path
    raise Unusable(f"{shown}: say --format csv or --format ndjson")


@click.command(epilog=example("tally export --output values.csv"))
@click.option("--format", "form", type=_FORMATS, default="csv")
@click.option("--output", "path", default="-", metavar="FILE", help="A file instead of stdout.")
def export(form: "FileFormat", path: str) -> None:
    """Stream every current entry, oldest first, as of one moment.

    FILE is there once it is whole.
    """
    from tally.cli.output import written
    from tally.ledger.export import export as run

    # Who reads may have read enough, as in `tally export | head`.
    with suppress(BrokenPipeError), written(path) as output:
        on_ledger(lambda database: run(database, form, output.write, tell_age))
