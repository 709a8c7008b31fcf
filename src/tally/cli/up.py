"""The one-machine stack: PostgreSQL if none is given, the schema, and all three services."""

import asyncio
from collections.abc import Callable

from tally.cli.options import note
from tally.embedded.supervisor import Supervisor
from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tally.services.server import NAMES, serve
from tally.settings import Settings


def up(settings: Settings) -> None:
    """Serve everything until SIGTERM or SIGINT.

    Raises `EmbeddedError`, `StartError`, `SchemaNewer` or `Unavailable`, each of one line.
    """
    if settings.database_url is not None:
        url = settings.database_url
        _run(settings, url, lambda role: url)
        return
    with Supervisor(settings.data_dir, note) as supervisor:
        _run(settings, supervisor.server.admin_url, supervisor.server.url)


def _run(settings: Settings, admin_url: str, url_of: Callable[[str], str]) -> None:
    asyncio.run(_migrate(Database(admin_url, timeout=settings.request_timeout)))
    serve(NAMES, settings, url_of, ready=lambda address: note(f"Tally is at {address}"))


async def _migrate(database: Database) -> None:
    try:
        await migrate(database)
    finally:
        await database.close()
