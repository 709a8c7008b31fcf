"""The one-machine stack: PostgreSQL if none is given, the schema, and all three services."""

import asyncio
from collections.abc import Mapping

from tally.cli.errors import Unusable
from tally.cli.options import note
from tally.embedded.supervisor import Supervisor
from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tally.services.server import NAMES, serve
from tally.settings import Settings


def up(settings: Settings) -> None:
    """Serve everything until SIGTERM or SIGINT.

    Raises `EmbeddedError`, `Unusable`, `StartError`, `SchemaNewer` or `Unavailable`, each of
    one line.
    """
    given = {name: url for name in NAMES if (url := settings.database_url_of(name))}
    if settings.database_url is not None:
        _run(settings, settings.database_url, given)
        return
    if given:
        raise Unusable("TALLY_DATABASE_URL must be set too: the owner's, who migrates")
    with Supervisor(settings.data_dir, note) as supervisor:
        server = supervisor.server
        _run(settings, server.admin_url, {name: server.url(f"tally_{name}") for name in NAMES})


def _run(settings: Settings, admin_url: str, database_urls: Mapping[str, str]) -> None:
    asyncio.run(_migrate(Database(admin_url, timeout=settings.request_timeout)))
    serve(database_urls, settings, ready=lambda address: note(f"Tally is at {address}"))


async def _migrate(database: Database) -> None:
    try:
        await migrate(database, notice=note)
    finally:
        await database.close()
