"""What is acknowledged is durable on the standby that the database waits for, whoever asks again.

A backend that waits for its standby and is ended or cancelled leaves its transaction visible and
not replicated. Each test brings a change into that state, and lets the change be asked for again.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from tally.ledger.corrections import Corrections
from tally.ledger.database import Database, Unavailable
from tally.ledger.migrate import migrate
from tally.ledger.resets import Resets
from tally.ledger.writer import Key, Writer
from tests.support.distribution_postgres import serving, standby_of

ONE = 10**9
WAITING = "SELECT pid, query_start FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[str, str]]:
    """A primary whose commits wait for its standby."""
    with serving() as primary, standby_of(primary) as standby:
        yield primary, standby


@dataclass
class Cluster:
    """Both servers, looked at by a superuser."""

    primary: Any
    standby: Any
    stack: AsyncExitStack
    url: str
    receiver: int = 0

    def writer(self, timeout: float = 60) -> Writer:
        database = Database(self._url("tally_adder"), timeout=timeout)
        writer = Writer(database, queue_limit=1000)
        writer.start()
        self.stack.push_async_callback(database.close)
        self.stack.push_async_callback(writer.close, 0)
        return writer

    def corrections(self, timeout: float = 60) -> Corrections:
        database = Database(self._url("tally_adder"), timeout=timeout)
        self.stack.push_async_callback(database.close)
        return Corrections(database)

    def resets(self, timeout: float = 60) -> Resets:
        database = Database(self._url("tally_reset"), timeout=timeout)
        self.stack.push_async_callback(database.close)
        return Resets(database)

    def _url(self, role: str) -> str:
        return self.url.replace("//me@", f"//{role}@")

    async def stall(self) -> None:
        """Let the standby receive nothing more."""
        found = await until(self.standby, "SELECT pid FROM pg_stat_wal_receiver")
        self.receiver = found["pid"]
        os.kill(self.receiver, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.receiver, signal.SIGCONT)

    async def end_wait(self, how: str) -> None:
        """End the one wait that there is, and see that another statement waits instead."""
        pid, began = await until(self.primary, WAITING)
        await self.primary.execute(f"SELECT pg_{how}_backend($1)", pid)
        await until(self.primary, f"{WAITING} AND query_start > '{began}'")

    async def end_all_waits(self, how: str) -> None:
        """End every wait, and see that none is left."""
        for pid, _ in await self.primary.fetch(WAITING):
            await self.primary.execute(f"SELECT pg_{how}_backend($1)", pid)
        await until(self.primary, f"SELECT true WHERE NOT EXISTS ({WAITING})")


async def until(connection: Any, query: str) -> Any:
    """Ask until there is a row, and return it."""
    async with asyncio.timeout(60):
        while (found := await connection.fetchrow(query)) is None:  # noqa: ASYNC110 - PostgreSQL has no event
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
async def cluster(pair) -> AsyncIterator[Cluster]:
    primary, standby = [await asyncpg.connect(url) for url in pair]
    owner = Database(pair[0], timeout=60)
    await migrate(owner)
    await owner.close()
    await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await primary.execute("SELECT pg_reload_conf()")
    await until(primary, "SELECT pid FROM pg_stat_replication WHERE sync_state = 'sync'")
    async with AsyncExitStack() as stack:
        cluster = Cluster(primary, standby, stack, pair[0])
        yield cluster
        if cluster.receiver:
            cluster.go_on()
    await primary.close()
    await standby.close()


@pytest.mark.parametrize("how", ["terminate", "cancel"])
async def test_an_add_is_answered_once_its_standby_has_it(cluster, how) -> None:
    writer = cluster.writer()
    before = await writer.add([ONE])
    await cluster.stall()
    adding = asyncio.create_task(writer.add([ONE]))
    await cluster.end_wait(how)
    assert await cluster.primary.fetchval("SELECT last_id FROM tally.total") == before.last_id + 1
    assert not adding.done(), "visible, and on no standby"
    cluster.go_on()
    added = await adding
    assert added.count == before.count + 1


@pytest.mark.parametrize("how", ["terminate", "cancel"])
async def test_a_replay_is_answered_once_the_standby_has_what_it_replays(cluster, how) -> None:
    values, key = [ONE], Key.of(f"replayed-{how}", [ONE], batch=False)
    impatient, patient = cluster.writer(timeout=0.5), cluster.writer()
    for writer in (impatient, patient):
        await writer.add([ONE])
    await cluster.stall()
    with pytest.raises(Unavailable) as caught:
        await impatient.add(values, key)
    assert not caught.value.outcome_known
    await impatient.close(0)
    await cluster.end_all_waits(how)
    again = asyncio.create_task(patient.add(values, key))
    await cluster.end_wait(how)
    assert not again.done()
    cluster.go_on()
    replayed = await again
    assert replayed.replayed


@pytest.mark.parametrize("how", ["terminate", "cancel"])
async def test_an_undo_of_an_entry_is_answered_once_its_standby_has_it(cluster, how) -> None:
    added = await cluster.writer().add([ONE])
    corrections = cluster.corrections()
    await cluster.stall()
    undoing = asyncio.create_task(corrections.undo(added.last_id))
    await cluster.end_wait(how)
    assert not undoing.done(), "visible, and on no standby"
    cluster.go_on()
    undone = await undoing
    assert (undone.value, undone.count, undone.replayed) == (-ONE, added.count + 1, True)


@pytest.mark.parametrize("how", ["terminate", "cancel"])
async def test_a_reset_and_its_undo_are_answered_once_the_standby_has_them(cluster, how) -> None:
    await cluster.writer().add([ONE])
    resets = cluster.resets()
    await cluster.stall()
    resetting = asyncio.create_task(resets.reset(f"reset-{how}"))
    await cluster.end_wait(how)
    assert not resetting.done()
    cluster.go_on()
    made, _ = await resetting
    await cluster.stall()
    undoing = asyncio.create_task(resets.undo(made.id))
    await cluster.end_wait(how)
    assert not undoing.done()
    cluster.go_on()
    assert (await undoing).undone_at is not None


async def test_whatever_hangs_a_service_holds_few_connections(cluster) -> None:
    """Each try that is given up has its backend ended by the next one."""
    writer, resets = cluster.writer(timeout=0.3), cluster.resets(timeout=0.3)
    await writer.add([ONE])
    await cluster.stall()
    held = 0
    for attempt in range(20):
        for change in (writer.add([ONE]), resets.reset(f"held-{attempt}")):
            with pytest.raises(Unavailable):
                await change
        held = max(
            held,
            await cluster.primary.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'tally%'"
            ),
        )
    assert held <= 8, "a writer's, a pool of four, and one of each that is just being ended"
    cluster.go_on()
    async with asyncio.timeout(60):
        while True:
            try:
                await writer.add([ONE])
                break
            except Unavailable:
                pass
