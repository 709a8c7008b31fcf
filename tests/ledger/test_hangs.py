"""Whatever hangs, a service holds few connections, and goes on once nothing hangs any more.

Each hang is kept up for many times what a request waits. What is counted are backends.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tally.ledger.database import Database
from tally.ledger.failures import Unavailable
from tally.ledger.migrate import migrate
from tally.ledger.reader import Reader
from tally.ledger.resets import Resets
from tally.ledger.writer import Writer
from tests.support.distribution_postgres import serving
from tests.support.postgres import PATIENCE
from tests.support.processes import unused_port
from tests.support.programs import need

ONE = 10**9
SECONDS = 0.3
ROUNDS = 12
AT_ONCE = 8
# docs/limits.md states these; while those that were given up end, there may be as many again.
HELD = {"adder": 5, "display": 4, "reset": 4}
WAITS = "SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1"


@dataclass
class Server:
    """A server that may hang, looked at by a superuser over its local socket."""

    url: str
    port: int
    admin: Any
    standby: str = ""

    def service_url(self, service: str) -> str:
        return f"postgresql://tally_{service}@127.0.0.1:{self.port}/postgres"

    @property
    def postmaster(self) -> int:
        folder = Path(self.url.partition("host=")[2].partition("&")[0])
        return int((folder / "data/postmaster.pid").read_text().split()[0])

    async def backends(self, service: str) -> list[int]:
        query = "SELECT pid FROM pg_stat_activity WHERE usename = $1"
        return [row["pid"] for row in await self.admin.fetch(query, f"tally_{service}")]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, int]]:
    port = unused_port()
    with serving(port=port) as url:
        yield url, port


@pytest.fixture
async def server(servers) -> AsyncIterator[Server]:
    url, port = servers
    owner = Database(url, timeout=PATIENCE)
    await migrate(owner)
    await owner.close()
    admin = await asyncpg.connect(url)
    yield Server(url, port, admin)
    await admin.close()


# --- What may hang --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def a_lock(server: Server, service: str) -> AsyncIterator[None]:
    """Somebody keeps the total."""
    other = await asyncpg.connect(server.url)
    async with other.transaction():
        await other.execute("LOCK TABLE tally.total IN ACCESS EXCLUSIVE MODE")
        yield
    await other.close()


@contextlib.asynccontextmanager
async def a_standby(server: Server, service: str) -> AsyncIterator[None]:
    """Every commit waits for a standby that there is not."""
    await server.admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await server.admin.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await server.admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await server.admin.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def the_server(server: Server, service: str) -> AsyncIterator[None]:
    """All of it is frozen; the kernel goes on taking connections."""
    with stopped([server.postmaster, *await server.backends(service)]):
        yield


@contextlib.asynccontextmanager
async def the_postmaster(server: Server, service: str) -> AsyncIterator[None]:
    """Sessions go on, and no new one begins."""
    with stopped([server.postmaster]):
        yield


@contextlib.asynccontextmanager
async def its_backends(server: Server, service: str) -> AsyncIterator[None]:
    """Those of the service are frozen, and new ones are not."""
    with stopped(await server.backends(service)):
        yield


@contextlib.asynccontextmanager
async def the_network(server: Server, service: str) -> AsyncIterator[None]:
    """Every packet to and from the server's port is dropped, and nobody is told."""
    with packets_dropped(server.port):
        yield


@contextlib.contextmanager
def packets_dropped(port: int) -> Iterator[None]:
    (nft,) = need("nft")
    if os.geteuid() != 0:
        pytest.skip("packets can't be dropped: run as root")
    # With its owner, which ends with its input, the table goes: also where this process is killed.
    name = f"tally_test_{port}"
    table = (
        f"table inet {name} {{ flags owner; chain dropping {{"
        " type filter hook input priority 0;"
        f" tcp dport {port} drop; tcp sport {port} drop; }}; }}\n"
    )
    with subprocess.Popen([nft, "-i"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        owner.stdin.write(table.encode())
        # It lists what there is once it has made that.
        owner.stdin.write(b"list tables\n")
        owner.stdin.flush()
        while (line := owner.stdout.readline()) and name.encode() not in line:
            pass
        assert line, "nft has made no table"
        yield


HANGS = [a_lock, a_standby, the_server, the_postmaster, its_backends, the_network]


# --- Who meets it ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving_as(service: str, url: str) -> AsyncIterator[Any]:
    """What a service does with its database, as one call."""
    database = Database(url, timeout=SECONDS)
    reader = Reader(database)
    writer, resets = Writer(database, queue_limit=100), Resets(database)
    if service == "adder":
        writer.start()
    work = {
        "adder": lambda: asyncio.gather(writer.add([ONE]), reader.total()),
        "display": lambda: asyncio.gather(reader.total(), reader.overview(), reader.page(None, 9)),
        "reset": lambda: asyncio.gather(resets.reset(), resets.past()),
    }
    yield work[service]
    if service == "adder":
        await writer.close(0)
    await database.close()


@pytest.mark.parametrize("service", HELD)
@pytest.mark.parametrize("hang", HANGS, ids=lambda hang: hang.__name__)
async def test_few_connections_are_held_and_service_resumes(server, hang, service) -> None:
    role, most = f"tally_{service}", 0
    async with serving_as(service, server.service_url(service)) as work:
        await resumed(work)
        await asyncio.gather(*(work() for _ in range(AT_ONCE)), return_exceptions=True)
        async with hang(server, service):
            for _ in range(ROUNDS):
                done = await asyncio.gather(
                    *(work() for _ in range(AT_ONCE)), return_exceptions=True
                )
                assert {type(it) for it in done if isinstance(it, Exception)} <= {Unavailable}
                most = max(most, await server.admin.fetchval(COUNT, role))
        async with asyncio.timeout(PATIENCE):
            resuming = asyncio.create_task(resumed(work))
            while not resuming.done():
                most = max(most, await server.admin.fetchval(COUNT, role))
                await asyncio.sleep(0.01)
            await resuming
            assert most <= 2 * HELD[service]
        # Those that were given up have ended.
        await no_more_than(HELD[service], server, service)


async def resumed(work: Any) -> None:
    """Return once the service works."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(Unavailable):
                await work()
                return


# --- Whoever leaves without a word ----------------------------------------------------------------


async def test_the_server_frees_what_a_dead_network_left(server) -> None:
    """The services' machines are gone, and nobody connects in their place."""
    async with contextlib.AsyncExitStack() as services:
        for service in HELD:
            serving = serving_as(service, server.service_url(service))
            await resumed(await services.enter_async_context(serving))
        with packets_dropped(server.port):
            for service in HELD:
                await no_more_than(0, server, service)


async def test_the_server_frees_what_waits_for_a_lock_when_its_client_left(server) -> None:
    database = Database(server.service_url("adder"), timeout=PATIENCE)
    async with a_lock(server, "adder"):
        connection = await database.connect()
        waiting = asyncio.create_task(connection.fetchval("SELECT sum FROM tally.total"))
        async with asyncio.timeout(PATIENCE):
            while not await server.admin.fetchval(WAITS):  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(0.01)
        connection.terminate()
        await asyncio.gather(waiting, return_exceptions=True)
        await no_more_than(0, server, "adder")
    await database.close()


async def no_more_than(number: int, server: Server, service: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await server.backends(service)) > number:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.1)
