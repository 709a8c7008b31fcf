"""The one-machine stack: PostgreSQL if none is given, the schema, and all three services."""

import os
from collections.abc import Mapping

from tally.cli import signals
from tally.cli.database_url import checked
from tally.cli.errors import Unusable
from tally.cli.streams import note
from tally.embedded.accounts import drop_root
from tally.embedded.keeper import Keeper
from tally.embedded.supervisor import Supervisor
from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tally.services.server import NAMES, serve
from tally.settings import Settings


def up(settings: Settings) -> None:
    """Serve everything until SIGTERM, SIGINT or SIGHUP.

    Raises `EmbeddedError`, `UnusableDatabase`, `Unusable`, `StartError`, `SchemaNewer` or
    `Unavailable`, each of one line.
    """
    given = {name: url for name in NAMES if (url := settings.database_url_of(name))}
    if settings.database_url is not None:
        _run(settings, settings.database_url, given)
        return
    if given:
        raise Unusable("TALLY_DATABASE_URL must be set too: the owner's, who migrates")
    # Root's services give up root, so that their PostgreSQL needs somebody else who keeps it.
    as_root = os.geteuid() == 0
    with Keeper(settings.data_dir) if as_root else Supervisor(settings.data_dir, note) as kept:
        server = kept.server
        _run(settings, server.admin_url, {name: server.url(f"tally_{name}") for name in NAMES})


def _run(settings: Settings, admin_url: str, database_urls: Mapping[str, str]) -> None:
    signals.run(_migrate(settings, admin_url))
    try:
        serve(
            database_urls,
            settings,
            listening=drop_root,
            ready=lambda address: note(f"Tally is at {address}"),
        )
    finally:
        signals.ignore()  # PostgreSQL is still to be stopped, which takes a bounded time


async def _migrate(settings: Settings, admin_url: str) -> None:
    database = Database(admin_url, timeout=settings.request_timeout)
    try:
        # Says at once, and why, where the database can't be reached at all.
        with checked(settings, connecting=True):
            await (await database.connect()).close()
        with checked(settings):
            await migrate(database, notice=note)
    finally:
        await database.close()
