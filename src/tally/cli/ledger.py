"""Opens the ledger for a command: migrated if it is this machine's own, else checked."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tally.cli import signals
from tally.cli.errors import explained
from tally.cli.streams import note
from tally.settings import read_settings

if TYPE_CHECKING:
    from tally.ledger.database import Database

T = TypeVar("T")

# How long a command waits for a database that restarts.
_PATIENCE_SECONDS: Final = 60.0


def on_ledger(
    work: Callable[["Database"], Coroutine[Any, Any, T]],
    *,
    creates: bool = False,
    current: bool = True,
    binaries: Path | None = None,
) -> T:
    """Run a command's work on the ledger, with this release's schema unless not `current`.

    Only a command that `creates` makes what is not there. `binaries` are PostgreSQL's programs for
    the embedded data, if not the installed ones.
    """
    from tally.cli.database_url import checked, database_url, no_ledger
    from tally.ledger.database import Database, current_revision
    from tally.ledger.migrate import migrate

    async def run(url: str) -> T:
        database = Database(url, timeout=_PATIENCE_SECONDS)
        try:
            # Says at once, and why, where the database can't be reached at all.
            with checked(settings, connecting=True):
                await (await database.connect()).close()
            with checked(settings):
                if not creates and await database.run(current_revision) is None:
                    raise no_ledger(settings)
                if current and settings.database_url is None:
                    await migrate(database)
                elif current:
                    await database.check()
                return await work(database)
        finally:
            await database.close()

    with explained():
        settings = read_settings()
        with database_url(settings, note, creates=creates, binaries=binaries) as url:
            return signals.run(run(url))
