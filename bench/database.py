"""One PostgreSQL for all candidates, fully durable, with a database for each."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.load.pgbench import pgbench
from bench.process import ROOT
from bench.rounds import Figures
from tally.embedded import postgres
from tally.ledger.database import Database
from tally.ledger.migrate import migrate

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
# Room for pgbench with 256 clients beside all that serves; Tally itself never needs so many.
_CONNECTIONS = 400
_MEMORY_ONLY = {"tmpfs", "ramfs"}
_QUIET_SECONDS = 120.0
_POLL_SECONDS = 0.02


class NotDurable(Exception):
    """The server or its disk would lose what it acknowledged."""


@dataclass(frozen=True)
class Cluster:
    """The running server."""

    server: postgres.Server
    programs: Path
    """Where pgbench and psql are: beside the server's own program."""

    def url(self, database: str, role: str = postgres.SUPERUSER) -> str:
        """The address of a database for a role."""
        return urlunsplit(urlsplit(self.server.url(role))._replace(path=f"/{database}"))

    def create(self, database: str, template: str = "template0") -> None:
        self.execute("postgres", f'CREATE DATABASE "{database}" TEMPLATE "{template}"')

    def create_ledger(self, database: str) -> None:
        """Create a database with an empty ledger."""
        self.create(database)
        asyncio.run(_migrate(self.url(database)))

    def drop(self, database: str) -> None:
        """Drop a database, whoever uses it."""
        self.execute("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')

    def execute(self, database: str, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        asyncio.run(_execute(self.url(database), statements))

    def value(self, database: str, query: str) -> object:
        """The one value that a query gives."""
        return asyncio.run(_value(self.url(database), query))

    def settle(self) -> None:
        """Wait until no statement runs any more; raises TimeoutError."""
        deadline = time.monotonic() + _QUIET_SECONDS
        while self.value("postgres", _ACTIVE):
            if time.monotonic() > deadline:
                raise TimeoutError("a statement still runs on the server")
            time.sleep(_POLL_SECONDS)

    def pgbench(self, database: str, script: Path, *, clients: int, seconds: int | None) -> Figures:
        """Load a database with a script's transaction; see `bench.load.pgbench`."""
        url = self.url(database)
        return pgbench(self.programs / "pgbench", url, script, clients=clients, seconds=seconds)

    def psql(self, database: str, command: str) -> None:
        """Run one command of psql; raises CalledProcessError."""
        program = str(self.programs / "psql")
        asked = [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command, self.url(database)]
        subprocess.run(asked, check=True, capture_output=True)

    def durability(self) -> dict[str, str]:
        """The settings that durability rests on, all "on"; raises `NotDurable`."""
        found = {name: str(self.value("postgres", f"SHOW {name}")) for name in DURABLE}
        if set(found.values()) != {"on"}:
            raise NotDurable(f"PostgreSQL is not fully durable: {found}")
        return found


# Parallel workers and the server's own processes are not clients.
_ACTIVE = """
    SELECT count(*) FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()
"""


@contextmanager
def cluster() -> Iterator[tuple[Cluster, Path]]:
    """Run a server on a fresh folder for the block; gives it and a folder for other files."""
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=cache))
    # PostgreSQL, which never runs as root, must be able to enter.
    folder.chmod(0o755)
    usual = postgres.SETTINGS["max_connections"]
    postgres.SETTINGS["max_connections"] = str(_CONNECTIONS)
    home = None
    try:
        with postgres.start(folder / "data") as server:
            home = server.directory
            _refuse_memory(home)
            programs = Path(f"/proc/{server.pid}/exe").resolve().parent
            yield Cluster(server, programs), folder
    finally:
        postgres.SETTINGS["max_connections"] = usual
        shutil.rmtree(folder)
        if home is not None and home.exists():  # kept elsewhere, because root's folder is closed
            shutil.rmtree(home)


def filesystem(folder: Path) -> str:
    """The type of the file system that a folder is on, such as ext4."""
    listing = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    return listing.stdout.strip()


def _refuse_memory(folder: Path) -> None:
    kind = filesystem(folder)
    if kind in _MEMORY_ONLY:
        raise NotDurable(f"{folder} is on {kind}, which is memory: durability would cost nothing")


async def _migrate(url: str) -> None:
    database = Database(url, timeout=30)
    try:
        await migrate(database)
    finally:
        await database.close()


async def _execute(url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
