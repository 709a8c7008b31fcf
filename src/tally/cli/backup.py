"""The ledger as a file: `tally backup` and `tally restore`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from tally.cli.errors import Refused, Unusable, explained
from tally.cli.ledger import on_ledger
from tally.cli.options import example, json_option, print_result
from tally.cli.output import written
from tally.cli.streams import note

if TYPE_CHECKING:
    from tally.amount import Amount
    from tally.ledger.database import Database

# What an archive of pg_dump's custom format begins with.
_MAGIC: Final = b"PGDMP"

_programs = click.option(
    "--programs",
    type=click.Path(resolve_path=True, path_type=Path),
    metavar="FOLDER",
    help="Where PostgreSQL's programs are, if not where they are usually installed.",
)


@click.command(epilog=example("tally backup tally.backup"))
@click.argument("file")
@_programs
@json_option
def backup(file: str, programs: Path | None, as_json: bool) -> None:
    """Write the whole ledger, as of one moment, to FILE; - is stdout.

    It holds entries, resets, and the keys by which a repeat is known. Adds may go on meanwhile.
    FILE is there once it is whole, and only its owner may read it. Works on the data of any
    PostgreSQL whose programs are on this machine.
    """
    from tally.amount import format_amount
    from tally.embedded.programs import client_programs
    from tally.ledger.backup import BackupFailed, server_version
    from tally.ledger.backup import backup as run

    if file == "-" and sys.stdout.isatty():
        raise Unusable("a backup is no text for a terminal: name a file")
    if file == "-" and as_json:
        raise Unusable("--json needs a file: stdout is for the backup")

    async def work(database: "Database") -> "tuple[int, Amount]":
        tools = client_programs(await server_version(database), programs)
        return await run(database, tools["pg_dump"], output.write)

    try:
        with written(file, private=True) as output:
            count, total = on_ledger(work, current=False, binaries=_binaries(programs))
    except BackupFailed as error:
        raise Refused(str(error)) from error
    except BrokenPipeError as error:
        raise Refused("nobody reads the backup any more; it is not whole") from error
    done = f"backed up {count} entries totalling {format_amount(total)}"
    if file == "-":
        note(done)
        return
    fields = {"file": file, "count": count, "sum": format_amount(total)}
    print_result(as_json, fields, f"{done} to {file}")


def _binaries(programs: Path | None) -> Path | None:
    """Find the server that made this machine's own data, if it is not the installed one."""
    from tally.embedded.binaries import wheel_version
    from tally.embedded.postgres import running, version_of
    from tally.embedded.programs import server_programs
    from tally.settings import read_settings

    with explained():
        settings = read_settings()
        if settings.database_url is not None or running(settings.data_dir) is not None:
            return None
        made_by = version_of(settings.data_dir)
        if made_by in {None, wheel_version()}:
            return None
        return server_programs(made_by, programs).folder


@click.command(epilog=example("tally restore tally.backup"))
@click.argument("file")
@_programs
@json_option
def restore(file: str, programs: Path | None, as_json: bool) -> None:
    """Restore a ledger from a backup; - is stdin.

    There must be no ledger yet, or one that was never used. What is restored is brought to this
    release's schema and audited first: all of it is there when this is done, or nothing.
    """
    from tally.embedded.programs import newest_programs
    from tally.ledger.restore import NotRestored
    from tally.ledger.restore import restore as run

    with _opened(file) as archive, explained():
        pg_restore = newest_programs(programs)["pg_restore"]

        async def work(database: "Database") -> tuple[int, str]:
            return await run(database, pg_restore, archive, note)

        try:
            count, total = on_ledger(work, creates=True, current=False)
        except NotRestored as error:
            name = "stdin" if file == "-" else file
            raise Refused(f"{name}: nothing was restored: {error}") from error
    fields = {"count": count, "sum": total}
    print_result(as_json, fields, f"restored and audited: {count} entries totalling {total}")


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        archive = Path(file).open("rb", buffering=0)  # noqa: SIM115 - closed below
        begins = archive.read(len(_MAGIC)) if archive.seekable() else _MAGIC
    except OSError as error:
        raise Unusable(f"{file} can't be read: {error.strerror}") from error
    with archive:
        if begins != _MAGIC:
            raise Unusable(f"{file} is no backup, as `tally backup` makes them")
        if archive.seekable():
            archive.seek(0)
        yield archive
