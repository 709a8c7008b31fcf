"""The owner's work on the database: `tally migrate`, `tally audit` and `tally purge`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from tally.cli.errors import Refused, explained
from tally.cli.ledger import on_ledger
from tally.cli.options import (
    confirm,
    example,
    json_option,
    print_result,
    progress_bar,
    yes_option,
)
from tally.cli.streams import note

if TYPE_CHECKING:
    from tally.ledger.audit import Report
    from tally.ledger.database import Database
    from tally.ledger.purge import Purged

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@click.command(epilog=example("tally migrate"))
@json_option
def migrate(as_json: bool) -> None:
    """Make the ledger, or bring its schema, the roles and their privileges up to date.

    Leaves a newer release's as they are, under which this one's services can work too. Sets the
    passwords of the roles that TALLY_ADDER_PASSWORD, TALLY_DISPLAY_PASSWORD, TALLY_RESET_PASSWORD
    and TALLY_OPERATOR_PASSWORD give.
    """
    from tally.ledger.migrate import SchemaNewer, set_passwords
    from tally.ledger.migrate import migrate as run
    from tally.ledger.schema import REVISION
    from tally.settings import read_passwords

    with explained():
        passwords = read_passwords()

    async def work(database: "Database") -> str:
        try:
            moved = await run(database, passwords, note)
        except SchemaNewer:
            await set_passwords(database, passwords)
            return "left newer than"
        return "migrated to" if moved else "already at"

    done = on_ledger(work, creates=True, current=False)
    fields = {"revision": REVISION, "migrated": done == "migrated to", "newer": "newer" in done}
    print_result(as_json, fields, f"{done} revision {REVISION}")


@click.command(epilog=example("tally audit --json"))
@json_option
def audit(as_json: bool) -> None:
    """Recompute every total from the entries and compare; look for privileges beyond the roles'.

    Exit status 1 on drift, or where anybody may do more than is given to him.
    """
    from tally.ledger.audit import audit as run
    from tally.ledger.roles import privileges_beyond

    async def work(database: "Database") -> "tuple[Report, list[str]]":
        privileges = [str(privilege) for privilege in await database.run(privileges_beyond)]
        with progress_bar("Auditing") as progress:
            return await run(database, progress), privileges

    report, privileges = on_ledger(work)
    clean = report.difference is None and not privileges
    fields = {
        "clean": clean,
        "checked": report.checked,
        "difference": report.difference,
        "privileges": privileges,
    }
    said = [f"{privilege}, which `tally migrate` takes away" for privilege in privileges]
    if report.difference is not None:
        said.insert(0, report.difference)
    print_result(as_json, fields, "\n".join(said) or f"clean: {report.checked} entries checked")
    if not clean:
        raise click.exceptions.Exit(Refused.exit_code)


@click.command(epilog=example("tally purge --older-than 30d"))
@click.option("--older-than", required=True, metavar="AGE", help="Such as 30d, 12h, 5m or 0s.")
@yes_option
@json_option
def purge(older_than: str, yes: bool, as_json: bool) -> None:
    """Really delete entries that were cleared longer ago than AGE; no undo after that."""
    from tally.ledger.purge import purge as run

    age = _age(older_than)
    confirm(yes, f"Delete for ever what was cleared more than {older_than} ago?")

    async def work(database: "Database") -> "Purged":
        with progress_bar("Deleting") as progress:
            return await run(database, age, progress)

    purged = on_ledger(work)
    print_result(as_json, {"deleted": purged.entries}, f"deleted {purged.entries} entries")


def _age(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _UNITS or len(number) > 5:  # noqa: PLR2004
        raise click.BadParameter("must be a whole number and a unit, such as 30d, 12h, 5m or 0s")
    return timedelta(**{_UNITS[unit]: int(number)})
