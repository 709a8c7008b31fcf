"""The proxy cuts where it says: the ledger shows whether the batch came before or after."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from faults.proxy import Cut, Proxy
from tally.amount import Amount
from tally.ledger.database import Database
from tally.ledger.writer import Key, Writer

ADD = "SELECT * FROM tally.add_batch($1, $2, $3, NULL, NULL, NULL, NULL)"
UNITS = 10**9
CUT_SECONDS = 60  # for what never comes


@pytest.fixture
async def proxy(ledger) -> AsyncIterator[Proxy]:
    place = parse_qs(urlsplit(ledger.owner_url).query)
    proxy = Proxy(Path(place["host"][0]) / f".s.PGSQL.{place['port'][0]}")
    await proxy.start()
    yield proxy
    await proxy.close()


def url(ledger, proxy: Proxy) -> str:
    """The adder's address by way of the proxy; TCP, so asyncpg asks for encryption first."""
    database = urlsplit(ledger.owner_url).path
    return f"postgresql://tally_adder@127.0.0.1:{proxy.port}{database}"


async def stored(ledger) -> list[int]:
    connection = await asyncpg.connect(ledger.owner_url)
    try:
        rows = await connection.fetch("SELECT value FROM tally.entry ORDER BY id")
        return [int(row["value"]) for row in rows]
    finally:
        await connection.close()


async def registered(ledger, proxy: Proxy) -> tuple[asyncpg.Connection, uuid.UUID]:
    connection = await asyncpg.connect(url(ledger, proxy))
    writer = uuid.uuid4()
    await connection.execute("SELECT tally.register_writer($1)", writer)
    return connection, writer


async def wait_until_free(ledger) -> None:
    """Wait for a backend that may still be at work on a batch: it holds the total's row."""
    connection = await asyncpg.connect(ledger.owner_url)
    try:
        while await connection.fetchval(  # noqa: ASYNC110 - PostgreSQL tells nobody when one ends
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE usename = 'tally_adder' AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_passes_everything_on_when_nothing_is_armed(ledger, proxy) -> None:
    connection, writer = await registered(ledger, proxy)
    for batch in (1, 2, 3):
        row = await connection.fetchrow(ADD, writer, batch, f"{{{batch}}}")
        assert row["before_count"] == batch - 1
    large = "{" + ",".join(["1000000"] * 10_000) + "}"  # several pieces on the way
    await connection.fetchrow(ADD, writer, 4, large)
    await connection.close()
    assert await stored(ledger) == [1, 2, 3, *[1_000_000] * 10_000]


@pytest.mark.parametrize(
    ("cut", "is_stored"),
    [
        (Cut.BEFORE_COMMIT, {False}),
        (Cut.DURING_COMMIT, {False, True}),
        (Cut.AFTER_COMMIT, {True}),
    ],
)
async def test_cuts_where_it_says(ledger, proxy, cut: Cut, is_stored: set[bool]) -> None:
    connection, writer = await registered(ledger, proxy)
    await connection.fetchrow(ADD, writer, 1, "{1}")
    happened = proxy.arm(cut)
    assert await connection.fetchval("SELECT 2") == 2, "only a batch is cut"
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await connection.fetchrow(ADD, writer, 2, "{20,30,40}")
    assert happened.done()
    assert proxy.armed is None
    async with asyncio.timeout(CUT_SECONDS):
        await wait_until_free(ledger)
    found = await stored(ledger)
    assert found in ([1], [1, 20, 30, 40])
    assert (len(found) > 1) in is_stored


@pytest.mark.parametrize(
    ("cut", "is_stored"),
    [
        (Cut.BEFORE_COMMIT, {False}),
        (Cut.DURING_COMMIT, {False, True}),
        (Cut.AFTER_COMMIT, {True}),
    ],
)
async def test_cuts_where_a_transaction_ends(ledger, proxy, cut: Cut, is_stored: set[bool]) -> None:
    connection, writer = await registered(ledger, proxy)
    happened = proxy.arm(cut)
    async with connection.transaction():
        await connection.fetchval("SELECT 1")
    assert not happened.done(), "only a batch is cut"
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):  # noqa: PT012
        async with connection.transaction():
            row = await connection.fetchrow(ADD, writer, 1, "{20,30}")
            assert row["before_count"] == 0
            assert not happened.done(), "nothing is committed yet"
    assert happened.done()
    async with asyncio.timeout(CUT_SECONDS):
        await wait_until_free(ledger)
    found = await stored(ledger)
    assert found in ([], [20, 30])
    assert (len(found) > 0) in is_stored


async def test_cut_after_commit_waits_for_a_batch_that_is_committed(ledger, proxy) -> None:
    connection, writer = await registered(ledger, proxy)
    happened = proxy.arm(Cut.AFTER_COMMIT)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.fetchrow(ADD, writer, 1, "{1e18}")
    assert not happened.done()
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await connection.fetchrow(ADD, writer, 1, "{5}")
    assert happened.done()
    assert await stored(ledger) == [5]


@pytest.mark.parametrize("cut", Cut)
async def test_a_writer_counts_a_cut_batch_once(ledger, proxy, cut: Cut) -> None:
    database = Database(url(ledger, proxy), timeout=60)
    writer = Writer(database, queue_limit=100)
    writer.start()
    try:
        await writer.add([Amount(UNITS)])
        happened = proxy.arm(cut)
        values = [Amount(2 * UNITS), Amount(3 * UNITS)]
        added = await writer.add(values, Key.of("k", values, batch=True))
        assert happened.done()
        assert (added.last_id, added.sum) == (3, 6 * UNITS)
    finally:
        await writer.close(1)
        await database.close()
    assert await stored(ledger) == [1, 2, 3]


async def test_delays_each_piece(ledger, proxy) -> None:
    connection, writer = await registered(ledger, proxy)
    proxy.delay = 0.1
    began = time.monotonic()
    await connection.execute("SELECT 1")
    assert time.monotonic() - began >= 2 * proxy.delay
    proxy.delay = 0
    await connection.fetchrow(ADD, writer, 1, "{1}")
    await connection.close()


async def test_refuses_and_cuts_all(ledger, proxy) -> None:
    connection, _ = await registered(ledger, proxy)
    proxy.refuse = True
    assert await connection.fetchval("SELECT 1") == 1, "refusing ends no open connection"
    proxy.cut_all()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await asyncpg.connect(url(ledger, proxy))
    proxy.refuse = False
    await (await asyncpg.connect(url(ledger, proxy))).close()


@pytest.mark.parametrize("moment", Cut)
async def test_acts_on_the_backend_where_it_says(ledger, proxy, moment: Cut) -> None:
    connection, writer = await registered(ledger, proxy)
    seen: list[tuple[int, list[int]]] = []

    async def look(backend: int) -> None:
        seen.append((backend, await stored(ledger)))

    happened = proxy.arm(moment, look)
    row = await connection.fetchrow(ADD, writer, 1, "{5}")
    assert row["before_count"] == 0, "the connection goes on"
    await happened
    [(backend, found)] = seen
    assert backend == connection.get_server_pid()
    assert found in {Cut.BEFORE_COMMIT: ([],), Cut.AFTER_COMMIT: ([5],)}.get(moment, ([], [5]))
    await connection.close()


@pytest.mark.parametrize("moment", Cut)
async def test_tells_of_an_act_that_ends_the_session_it_acts_on(ledger, proxy, moment: Cut) -> None:
    connection, writer = await registered(ledger, proxy)

    async def end(_backend: int) -> None:
        proxy.cut_all()
        await asyncio.sleep(0.1)

    happened = proxy.arm(moment, end)
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await connection.fetchrow(ADD, writer, 1, "{5}")
    async with asyncio.timeout(CUT_SECONDS):
        await happened


async def test_tells_of_an_act_that_fails(ledger, proxy) -> None:
    connection, writer = await registered(ledger, proxy)

    async def fail(_backend: int) -> None:
        raise OSError("out of reach")

    happened = proxy.arm(Cut.BEFORE_COMMIT, fail)
    await connection.fetchrow(ADD, writer, 1, "{5}")
    with pytest.raises(OSError, match="out of reach"):
        await happened
    await connection.close()
