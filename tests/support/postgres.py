"""One real PostgreSQL, and a fresh ledger for each test that asks for one."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

if TYPE_CHECKING:
    from tally.embedded.postgres import Server
    from tally.ledger.database import Database

# Seconds after which a test fails for what never comes: a busy machine is slow.
PATIENCE = 60.0
SERVICES = ("adder", "display", "reset")
# Names the data directory of a running server that has the template, for tests to use.
LENT = "TALLY_TEST_POSTGRES"
TEMPLATE = "tally_template"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Ledger:
    """A migrated database of its own, reached as its owner or as a service's role."""

    url: Callable[[str], str]

    @property
    def owner_url(self) -> str:
        return self.url("postgres")

    def database(self, role: str = "postgres", timeout: float = PATIENCE) -> "Database":
        from tally.ledger.database import Database

        return Database(self.url(role), timeout=timeout)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["Server"]:
    """The embedded server, as `tally up` runs it, in a short-lived folder; one a worker."""
    from tally.embedded import postgres

    if lent := os.environ.get(LENT):
        server = postgres.running(Path(lent))
        assert server is not None
        yield server
        return
    folder = Path(tempfile.mkdtemp(prefix="tally-test-"))
    folder.chmod(0o755)
    with postgres.start(folder / "data") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def urls_of(server: "Server") -> dict[str, str]:
    """The variables by which `tally up` finds this server, as its owner and by role."""
    own = {f"TALLY_{name.upper()}_DATABASE_URL": server.url(f"tally_{name}") for name in SERVICES}
    return {"TALLY_DATABASE_URL": server.admin_url, **own}


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    import asyncpg

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def copy_ledger(url: str, old: str, new: str) -> None:
    """Copy a database that nobody uses, with who may connect to it, which no template hands on."""
    execute(
        url,
        f"CREATE DATABASE {new} TEMPLATE {old}",
        f"REVOKE ALL ON DATABASE {new} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {new} TO tally_adder, tally_display, tally_reset,"
        " tally_operator",
    )


def make_template(server: "Server") -> None:
    """Make the migrated database that others are copies of."""
    from tally.ledger.database import Database
    from tally.ledger.migrate import migrate

    execute(server.admin_url, f"CREATE DATABASE {TEMPLATE}")

    async def prepare() -> None:
        database = Database(with_database(server.admin_url, TEMPLATE), timeout=PATIENCE)
        await migrate(database)
        await database.close()

    asyncio.run(prepare())


@pytest.fixture(scope="session")
def _template(postgres_server: "Server") -> None:
    if LENT not in os.environ:
        make_template(postgres_server)


@pytest.fixture
def ledger(postgres_server: "Server", _template: None) -> Iterator[Ledger]:
    """An empty, migrated ledger in a database of its own."""
    name = f"tally_test_{os.getpid()}_{next(_numbers)}"
    copy_ledger(postgres_server.admin_url, TEMPLATE, name)
    yield Ledger(
        lambda role: with_database(
            postgres_server.admin_url if role == "postgres" else postgres_server.url(role), name
        )
    )
    execute(postgres_server.admin_url, f"DROP DATABASE {name} WITH (FORCE)")
