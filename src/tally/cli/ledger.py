"""Opens the ledger for a command: migrated if it is this machine's own, else checked."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tally.cli.errors import explained
from tally.cli.options import note
from tally.settings import read_settings

if TYPE_CHECKING:
    from tally.ledger.database import Database

T = TypeVar("T")

# How long a command waits for a database that restarts.
_PATIENCE_SECONDS: Final = 60.0


def on_ledger(work: Callable[["Database"], Coroutine[Any, Any, T]], *, current: bool = True) -> T:
    """Run a command's work on the ledger; `current` asks for a schema that needs no migration."""
    import asyncio

    from tally.cli.database_url import database_url
    from tally.ledger.database import Database
    from tally.ledger.migrate import migrate

    async def run(url: str, *, embedded: bool) -> T:
        database = Database(url, timeout=_PATIENCE_SECONDS)
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

    with explained():
        settings = read_settings()
        with database_url(settings, note) as url:
            return asyncio.run(run(url, embedded=settings.database_url is None))
