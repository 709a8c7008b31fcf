"""One ledger seen from its three services, and by its owner, who may break it."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tally.ledger.audit import audit
from tally.ledger.corrections import Corrections
from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tally.ledger.reader import Reader
from tally.ledger.resets import Resets
from tally.ledger.writer import Writer
from tests.support.postgres import PATIENCE


class Owner:
    """Looks into the database past all of Tally's code, and makes faults in it."""

    def __init__(self, url, connection):
        self.url = url
        self.connection = connection
        self.execute = connection.execute
        self.fetch = connection.fetch
        self.fetchval = connection.fetchval

    async def entries(self):
        """Every entry there is, cleared or not: (id, value, sum_after) in the text psql shows."""
        rows = await self.fetch(
            "SELECT id, trim_scale(value)::text, trim_scale(sum_after)::text"
            " FROM tally.entry ORDER BY id"
        )
        return [tuple(row) for row in rows]

    async def set_sum(self, value):
        """Put the sum where it would take 10^11 adds to bring it."""
        await self.execute("UPDATE tally.total SET sum = $1::text::numeric", value)

    async def cut(self):
        """End all connections but the owner's, and wait until they are gone."""
        await self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    async def waited_for(self):
        """Return once somebody waits for a lock that the owner's session holds."""
        # A session of its own: within a transaction activity is read once.
        looking = await asyncpg.connect(self.url)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
        async with asyncio.timeout(PATIENCE):
            while not await looking.fetchval(waiting, self.connection.get_server_pid()):  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(0.01)
        await looking.close()

    @asynccontextmanager
    async def outage(self):
        """Let nobody but the owner in, as when the database is away."""
        name = await self.fetchval("SELECT quote_ident(current_database())")
        await self.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        await self.cut()
        try:
            yield
        finally:
            await self.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")

    @asynccontextmanager
    async def holding(self, *tables):
        """Keep every change of these tables waiting."""
        async with self.connection.transaction():
            for table in tables:
                await self.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield


@pytest.fixture
async def owner(ledger):
    connection = await asyncpg.connect(ledger.owner_url)
    yield Owner(ledger.owner_url, connection)
    await connection.close()


@pytest.fixture
async def migrated(connect):
    """What `tally migrate` does to a database is no part of a template that others are made of."""
    assert await migrate(connect("postgres")) is False


@pytest.fixture
async def connect(ledger):
    """Makes a `Database` under a role."""
    databases = []

    def make(role, timeout=PATIENCE, **options):
        databases.append(Database(ledger.url(role), timeout=timeout, **options))
        return databases[-1]

    yield make
    for database in databases:
        await database.close()


def ignore(connected, reason):
    pass


@pytest.fixture
async def start_writer(connect):
    """Starts writers that are closed when the test is over."""
    writers = []

    def start(timeout=PATIENCE, queue_limit=100_000, database=None, on_connection=ignore, **hooks):
        database = database or connect("tally_adder", timeout, on_connection=on_connection)
        writers.append(Writer(database, queue_limit=queue_limit, **hooks))
        writers[-1].start()
        return writers[-1]

    yield start
    for writer in writers:
        await writer.close(grace=1)


@pytest.fixture
async def writer(start_writer):
    return start_writer()


@pytest.fixture
async def reader(connect):
    return Reader(connect("tally_display"))


@pytest.fixture
async def resets(connect):
    return Resets(connect("tally_reset"))


@pytest.fixture
async def corrections(connect):
    return Corrections(connect("tally_adder"))


@pytest.fixture
async def drift(connect):
    """Audits the ledger; returns the first difference in words, or None."""
    database = connect("postgres")

    async def run():
        return (await audit(database)).difference

    return run
