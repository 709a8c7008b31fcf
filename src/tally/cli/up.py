"""The one-machine stack: PostgreSQL if none is given, the schema, and all three services."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tally.embedded import postgres
from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tally.services.server import NAMES, serve
from tally.settings import Settings

_LOOK_SECONDS: Final = 0.2
# Between two tries to start a server that does not start.
_RETRY_SECONDS: Final = 1.0


def up(settings: Settings) -> None:
    """Serve everything until SIGTERM or SIGINT.

    Raises `LocalError`, `StartError`, `SchemaNewer` or `Unavailable`, each of one line.
    """
    if settings.database_url is not None:
        url = settings.database_url
        _run(settings, url, lambda role: url)
        return
    with _kept_running(settings.data_dir) as server:
        _run(settings, server.admin_url, server.url)


def _run(settings: Settings, admin_url: str, url_of: Callable[[str], str]) -> None:
    asyncio.run(_migrate(Database(admin_url, timeout=settings.request_timeout)))
    serve(NAMES, settings, url_of, ready=lambda address: _note(f"Tally is at {address}"))


@contextmanager
def _kept_running(folder: Path) -> Iterator[postgres.Server]:
    """Run the embedded server, and start it again should it end by itself.

    Its addresses stay the same, so the services find it again without being told.
    """
    server = first = postgres.start(folder, _note)
    ending = threading.Event()

    def keep() -> None:
        nonlocal server
        while not ending.wait(_LOOK_SECONDS):
            if server.alive:
                continue
            _note("PostgreSQL ended; starting it again")
            server.stop()
            try:
                server = postgres.start(folder, _note)
            except postgres.LocalError as error:
                _note(str(error))
                ending.wait(_RETRY_SECONDS)

    keeper = threading.Thread(target=keep, name="postgres-restarter")
    keeper.start()
    try:
        yield first
    finally:
        ending.set()
        keeper.join()
        server.stop()


async def _migrate(database: Database) -> None:
    try:
        await migrate(database)
    finally:
        await database.close()


def _note(text: str) -> None:
    # On stderr: stdout is the log.
    print(text, file=sys.stderr, flush=True)  # noqa: T201
