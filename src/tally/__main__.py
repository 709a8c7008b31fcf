"""The `tally` command."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tally import __version__
from tally.settings import InvalidSetting, Settings, read_settings

if TYPE_CHECKING:
    from tally.ledger.database import Database
    from tally.ledger.resets import Reset

# What a command needs is imported when it runs, so that --help answers at once.

T = TypeVar("T")

# A command waits this long, in seconds, for a database that restarts.
_PATIENCE = 60.0
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class Refused(click.ClickException):
    """One line on stderr, and exit status 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:  # noqa: ANN401
        """Print it."""
        click.echo(f"tally: {self.format_message()}", err=True)


class Unusable(Refused):
    """What was given can't be used: exit status 2."""

    exit_code = 2


class NotAvailable(Refused):
    """The database can't be had: exit status 3."""

    exit_code = 3


def _note(text: str) -> None:
    click.echo(text, err=True)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what may go wrong in any command into one line."""
    from tally.cli.database_url import TargetError
    from tally.embedded.postgres import EmbeddedError
    from tally.ledger.database import SchemaOutdated, Unavailable
    from tally.ledger.migrate import SchemaNewer

    try:
        yield
    except InvalidSetting as error:
        raise Unusable(str(error)) from error
    except SchemaOutdated as error:
        raise Refused(f"{error}: run `tally migrate` first") from error
    except SchemaNewer as error:
        raise Refused(str(error)) from error
    except (EmbeddedError, TargetError, Unavailable) as error:
        raise NotAvailable(str(error)) from error


def _on_ledger(work: Callable[["Database"], Coroutine[Any, Any, T]], *, current: bool = True) -> T:
    """Run a command's work on the ledger of this machine or of TALLY_DATABASE_URL."""
    from tally.cli.database_url import database_url
    from tally.ledger.database import Database
    from tally.ledger.migrate import migrate

    async def run(url: str, *, embedded: bool) -> T:
        database = Database(url, timeout=_PATIENCE)
        try:
            # Says at once, and why, where the database can't be reached at all.
            await (await database.connect()).close()
            if embedded:
                await migrate(database)
            elif current:
                await database.check()
            return await work(database)
        finally:
            await database.close()

    with _explained():
        settings = read_settings()
        with database_url(settings, _note) as url:
            return asyncio.run(run(url, embedded=settings.database_url is None))


def _print(as_json: bool, fields: dict[str, object], text: str) -> None:
    import msgspec

    click.echo(msgspec.json.encode(fields) if as_json else text)


def _example(text: str) -> str:
    return f"\b\nExample:\n  {text}"


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


def _confirm(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Unusable("this changes the ledger and nobody can be asked: add --yes")
    click.confirm(question, abort=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tally")
def main() -> None:
    """A shared running total that can be trusted.

    Commands work on the database of TALLY_DATABASE_URL or, without it, on this machine's own in
    TALLY_DATA_DIR (.tally).

    \b
    Exit status: 0 done, 1 refused or drift found, 2 wrong usage or setting,
    3 database not available.
    """


@main.command(epilog=_example("tally up --port 9000"))
@click.option("--port", type=click.IntRange(0, 65535), help="Serve on this port (TALLY_PORT).")
@click.option("--host", help="Serve on this address (TALLY_HOST).")
def up(port: int | None, host: str | None) -> None:
    """Serve everything on this machine, PostgreSQL included."""
    from tally.cli.database_url import explained
    from tally.cli.up import up as run
    from tally.services.server import StartError

    with _explained():
        settings = _settings(port, host)
        try:
            with explained(settings.database_url or ""):
                run(settings)
        except StartError as error:
            raise Refused(str(error)) from error


@main.command(epilog=_example("TALLY_DATABASE_URL=postgresql://... tally serve adder"))
@click.argument("service", type=click.Choice(["adder", "display", "reset", "all"]))
@click.option("--port", type=click.IntRange(0, 65535), help="Serve on this port (TALLY_PORT).")
@click.option("--host", help="Serve on this address (TALLY_HOST).")
def serve(service: str, port: int | None, host: str | None) -> None:
    """Serve one service, or all, against TALLY_DATABASE_URL."""
    from tally.services.server import NAMES, StartError
    from tally.services.server import serve as run

    with _explained():
        settings = _settings(port, host)
        url = settings.database_url
        if url is None:
            raise Unusable("TALLY_DATABASE_URL must be set; `tally up` brings its own database")
        names = NAMES if service == "all" else (service,)
        try:
            run(names, settings, lambda role: url, ready=lambda at: _note(f"Tally is at {at}"))
        except StartError as error:
            raise Refused(str(error)) from error


@main.command(epilog=_example("tally health display"))
@click.argument("service", type=click.Choice(["adder", "display", "reset"]))
def health(service: str) -> None:
    """Ask the service at TALLY_HOST and TALLY_PORT whether it answers; exit status 1 if not."""
    from tally.services.health import NotHealthy, check

    # Asked every few seconds, it brings in nothing of the database's.
    try:
        check(service, read_settings())
    except InvalidSetting as error:
        raise Unusable(str(error)) from error
    except NotHealthy as error:
        raise Refused(str(error)) from error


def _settings(port: int | None, host: str | None) -> Settings:
    from dataclasses import replace

    settings = read_settings()
    if port is not None:
        settings = replace(settings, port=port)
    return settings if host is None else replace(settings, host=host)


@main.command(epilog=_example("tally migrate"))
@_json
def migrate(as_json: bool) -> None:
    """Bring the schema, the roles and their rights up to date.

    Sets the passwords of the roles that TALLY_ADDER_PASSWORD, TALLY_DISPLAY_PASSWORD,
    TALLY_RESET_PASSWORD and TALLY_OPERATOR_PASSWORD give.
    """
    from tally.ledger.migrate import migrate as run
    from tally.ledger.schema import REVISION
    from tally.settings import read_passwords

    with _explained():
        passwords = read_passwords()
    moved = _on_ledger(lambda database: run(database, passwords), current=False)
    done = "migrated to" if moved else "already at"
    _print(as_json, {"revision": REVISION, "migrated": moved}, f"{done} revision {REVISION}")


@main.command(epilog=_example("tally add 12.5 .5 -- -3\n  tally add --file values.csv"))
@click.argument("values", nargs=-1)
@click.option("--file", "path", help="Add the values of this file; - is standard input.")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), help="The file's format.")
@click.option("--key", help="Count these values once, however often this is run.")
@click.option("--again", default="", help="Count a file once more, under this label.")
@_json
def add(
    values: tuple[str, ...],
    path: str | None,
    form: str | None,
    key: str | None,
    again: str,
    as_json: bool,
) -> None:
    """Add values, or a file of them: all or none, exactly.

    A file is CSV (its column `value`, or the first) or has a JSON value on each line (NDJSON). It
    is known by its content: run twice, or again after it was broken off, it counts once.
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
    from tally.amount import InvalidAmount, format_amount, parse_text
    from tally.ledger.writer import MAX_BATCH_VALUES, Added, Key

    if len(texts) > MAX_BATCH_VALUES:
        raise Unusable(f"at most {MAX_BATCH_VALUES} values at once; use --file for more")
    try:
        values = [parse_text(text) for text in texts]
    except InvalidAmount as error:
        wrong = next(text for text in texts if not _is_amount(text))
        raise Unusable(f"{wrong!r} {error}; nothing was added") from error

    async def work(database: "Database") -> Added:
        async with _writer(database) as writer:
            added: Added = await writer.add(
                values, None if key is None else Key.of(key, values, batch=True)
            )
            return added

    added = _on_ledger(work)
    fields: dict[str, object] = {
        "first_id": added.first_id,
        "last_id": added.last_id,
        "sum": format_amount(added.sum),
        "count": added.count,
        "replayed": added.replayed,
    }
    done = "already counted" if added.replayed else "added"
    _print(as_json, fields, f"{done} {len(values)}: the total was then {fields['sum']}")


def _is_amount(text: str) -> bool:
    from tally.amount import InvalidAmount, parse_text

    try:
        parse_text(text)
    except InvalidAmount:
        return False
    return True


def _add_file(file: Path, form: Any, label: str, as_json: bool) -> None:  # noqa: ANN401
    from tally.amount import format_amount
    from tally.ledger.importer import Imported, InvalidFile, check_file, import_file

    try:
        checked = check_file(file, form)
    except InvalidFile as error:
        raise Unusable(f"{error}; nothing was added") from error

    async def work(database: "Database") -> Imported:
        with click.progressbar(length=checked.count, label="Adding", file=sys.stderr) as bar:
            async with _writer(database) as writer:
                return await import_file(writer, checked, label=label, progress=bar.update)

    done = _on_ledger(work)
    fields: dict[str, object] = {
        "added": done.count - done.already,
        "already_counted": done.already,
        "sum": format_amount(done.last.sum),
        "count": done.last.count,
    }
    _print(
        as_json,
        fields,
        f"added {fields['added']}, already counted {done.already}:"
        f" the total was then {fields['sum']}",
    )


@contextmanager
def _on_disk(path: str, form: str | None) -> Iterator[tuple[Path, str]]:
    """Give the file and its format; standard input is kept on disk, to be read twice."""
    if path != "-":
        file = Path(path)
        if not file.is_file():
            raise Unusable(f"{path}: there is no such file")
        known = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
        chosen = form or known.get(file.suffix.lower())
        if chosen is None:
            raise Unusable(f"{path}: say --format csv or --format ndjson")
        yield file, chosen
        return
    if form is None:
        raise Unusable("say --format csv or --format ndjson with standard input")
    with tempfile.NamedTemporaryFile(prefix="tally-") as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        spooled.flush()
        yield Path(spooled.name), form


def _writer(database: "Database") -> Any:  # noqa: ANN401
    """A writer for as long as the block runs; what it refuses becomes one line."""
    from contextlib import asynccontextmanager

    from tally.ledger.writer import KeyReused, SumOutOfRange, Writer

    @asynccontextmanager
    async def opened() -> Any:  # noqa: ANN401
        writer = Writer(database, queue_limit=sys.maxsize)
        writer.start()
        try:
            yield writer
        except (KeyReused, SumOutOfRange) as error:
            raise Refused(f"{error}; nothing was added") from error
        finally:
            await writer.close(1)

    return opened()


@main.command(epilog=_example("tally export --output values.csv"))
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), default="csv")
@click.option("--output", type=click.File("wb"), default="-", help="A file instead of stdout.")
def export(form: str, output: Any) -> None:  # noqa: ANN401
    """Stream every current entry, oldest first, as of one moment."""
    from tally.ledger.reader import Reader

    async def work(database: "Database") -> None:
        lines = _Ndjson(output) if form == "ndjson" else output

        async def write(data: bytes) -> None:
            lines.write(data)

        try:
            await Reader(database).export_csv(write)
        except BrokenPipeError:
            # Whoever reads has read enough, as in `tally export | head`.
            sys.stderr.close()
            raise click.exceptions.Exit(0) from None

    _on_ledger(work)


class _Ndjson:
    """Turns the lines of CSV, however they are cut into pieces, into lines of JSON."""

    def __init__(self, output: Any) -> None:  # noqa: ANN401
        self._output = output
        self._rest = b""
        self._header = True

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._header and lines:
            lines, self._header = lines[1:], False
        for line in lines:
            number, value, sum_after, added_at = line.decode().split(",")
            self._output.write(
                f'{{"id":{number},"value":"{value}","sum_after":"{sum_after}",'
                f'"added_at":"{added_at}"}}\n'.encode()
            )


@main.command(epilog=_example("tally reset --yes --json"))
@click.option("--key", help="Reset once, however often this is run.")
@_yes
@_json
def reset(key: str | None, yes: bool, as_json: bool) -> None:
    """Clear the total. `tally undo` gives back what was cleared."""
    from tally.amount import format_amount
    from tally.ledger.reader import Reader, Total
    from tally.ledger.resets import Reset, Resets

    async def look(database: "Database") -> Total:
        return await Reader(database).total()

    async def work(database: "Database") -> tuple[Reset, bool]:
        return await Resets(database).reset(key)

    if not yes:
        now = _on_ledger(look)
        _confirm(yes, f"Clear {now.count} entries totalling {format_amount(now.sum)}?")
    made, replayed = _on_ledger(work)
    fields = {**_reset_fields(made), "replayed": replayed}
    _print(as_json, fields, f"reset {made.id} cleared {made.count} totalling {fields['sum']}")


@main.command(epilog=_example("tally undo 3"))
@click.argument("reset_id", metavar="[ID]", type=click.IntRange(min=1), required=False)
@_json
def undo(reset_id: int | None, as_json: bool) -> None:
    """Give back what a reset cleared: the newest one not yet undone."""
    from tally.ledger.resets import NotUndoable, Reset, Resets
    from tally.ledger.writer import SumOutOfRange

    async def work(database: "Database") -> Reset:
        resets = Resets(database)
        chosen = reset_id
        if chosen is None:
            undoable = [made.id for made in await resets.past() if made.undoable]
            if not undoable:
                raise NotUndoable("there is no reset to undo")
            chosen = undoable[0]
        return await resets.undo(chosen)

    try:
        made = _on_ledger(work)
    except (NotUndoable, SumOutOfRange) as error:
        raise Refused(str(error)) from error
    fields = _reset_fields(made)
    _print(as_json, fields, f"gave back {made.count} entries totalling {fields['sum']}")


def _reset_fields(made: "Reset") -> dict[str, object]:
    from tally import representation

    return representation.in_json(representation.reset(made))


@main.command(epilog=_example("tally audit --json"))
@_json
def audit(as_json: bool) -> None:
    """Recompute every total from the entries and compare; exit status 1 on drift."""
    from tally.ledger.audit import Report
    from tally.ledger.audit import audit as run

    async def work(database: "Database") -> Report:
        with _bar("Auditing") as progress:
            return await run(database, progress)

    report = _on_ledger(work)
    difference = None if report.difference is None else str(report.difference)
    fields: dict[str, object] = {
        "clean": difference is None,
        "checked": report.checked,
        "difference": difference,
    }
    _print(as_json, fields, difference or f"clean: {report.checked} entries checked")
    if difference is not None:
        raise click.exceptions.Exit(Refused.exit_code)


@main.command(epilog=_example("tally purge --older-than 30d"))
@click.option("--older-than", required=True, metavar="AGE", help="Such as 30d, 12h, 5m or 0s.")
@_yes
@_json
def purge(older_than: str, yes: bool, as_json: bool) -> None:
    """Really delete entries that were cleared longer ago than AGE; no undo after that."""
    from tally.ledger.purge import Purged
    from tally.ledger.purge import purge as run

    age = _age(older_than)
    _confirm(yes, f"Delete for ever what was cleared more than {older_than} ago?")

    async def work(database: "Database") -> Purged:
        with _bar("Deleting") as progress:
            return await run(database, age, progress)

    purged = _on_ledger(work)
    _print(as_json, {"deleted": purged.entries}, f"deleted {purged.entries} entries")


def _age(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _UNITS or len(number) > 5:  # noqa: PLR2004
        raise click.BadParameter("must be a whole number and a unit, such as 30d, 12h, 5m or 0s")
    return timedelta(**{_UNITS[unit]: int(number)})


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar that is told how much of how much is done."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield progress


@main.command(epilog=_example("tally check --html report.html"))
@click.option("--name", default="tally", show_default=True, help="The deployment's name.")
@click.option("--address", metavar="URL", help="The public https address, if not the one found.")
@click.option(
    "--waivers",
    type=click.Path(path_type=Path),
    help="What is knowingly left out (infra/waivers.toml, if it is there).",
)
@click.option("--html", type=click.File("w", lazy=True), help="Also write a self-contained page.")
@click.option("--verbose", is_flag=True, help="Print the evidence of every row.")
@_json
def check(
    name: str,
    address: str | None,
    waivers: Path | None,
    html: Any,  # noqa: ANN401
    verbose: bool,
    as_json: bool,
) -> None:
    """Ask AWS whether what stands there is what was promised, requirement by requirement.

    Exit status 1 if anything required is missing, 3 if AWS can't be asked.
    """
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise Unusable("this needs boto3; install tally with its `aws` extra") from error
    from tally.aws import report as reports
    from tally.aws.account import Account
    from tally.aws.check import check as run
    from tally.aws.waivers import InvalidWaivers, read_waivers

    if address is not None and not address.startswith("https://"):
        raise click.BadParameter("must begin with https://", param_hint="--address")
    chosen = waivers or Path("infra/waivers.toml")
    try:
        known = read_waivers(chosen) if waivers or chosen.exists() else {}
    except InvalidWaivers as error:
        raise Unusable(str(error)) from error
    account = Account(name, address=address and address.rstrip("/"))
    try:
        report = run(account, known, progress=lambda concern: _note(f"Looking at: {concern}"))
    except (BotoCoreError, ClientError) as error:
        raise NotAvailable(f"AWS can't be asked: {error}") from error
    if html is not None:
        html.write(reports.as_html(report))
    width = shutil.get_terminal_size((100, 40)).columns
    click.echo(
        reports.as_json(report) if as_json else reports.as_text(report, width, everything=verbose)
    )
    if not report.passed:
        raise click.exceptions.Exit(Refused.exit_code)


if __name__ == "__main__":
    main(prog_name="tally")
