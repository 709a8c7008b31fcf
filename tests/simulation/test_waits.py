"""A commit that waits for its standby, in the model and in PostgreSQL: what others see of it.

On this all rests that the model tells visible from durable.
"""

import asyncio
import os
import signal
import uuid
from contextlib import asynccontextmanager

import asyncpg

from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tests.simulation.both import ADD, RECALL, REGISTER, connect, literal, model, outcome
from tests.support.distribution_postgres import serving, standby_of
from tests.support.postgres import PATIENCE

WRITER = uuid.UUID(int=1)


class Real:
    """A primary and its standby, whose receiver can be stopped."""

    def __init__(self, url, primary, standby):
        self.url, self.primary, self.standby = url, primary, standby
        self.receiver = 0

    async def connect(self):
        return await asyncpg.connect(self.url)

    async def stall(self):
        self.receiver = await self.standby.fetchval("SELECT pid FROM pg_stat_wal_receiver")
        os.kill(self.receiver, signal.SIGSTOP)

    async def go_on(self):
        os.kill(self.receiver, signal.SIGCONT)

    async def waiting(self):
        query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return [row["pid"] for row in await self.primary.fetch(query)]

    async def end(self, how, waiting):
        await self.primary.execute(f"SELECT pg_{how}_backend($1)", waiting)


class Modelled:
    def __init__(self):
        self.server = model()

    async def connect(self):
        return connect(self.server)

    async def stall(self):
        self.server.standby.stall()

    async def go_on(self):
        self.server.standby.go_on()

    async def waiting(self):
        return [one for one in self.server.backends if one.waits_for == "SyncRep"]

    async def end(self, how, waiting):
        getattr(waiting, how)()


@asynccontextmanager
async def real():
    with serving() as url, standby_of(url) as standby_url:
        owner = Database(url, timeout=PATIENCE)
        await migrate(owner)
        await owner.close()
        primary, standby = [await asyncpg.connect(one) for one in (url, standby_url)]
        await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await primary.execute("SELECT pg_reload_conf()")
        query = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        await until(lambda: primary.fetch(query))
        yield Real(url, primary, standby)
        await primary.close()
        await standby.close()


async def until(look):
    """Look until there is something, and return it."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await look()):
            await asyncio.sleep(0.01)
    return found


async def watch(place, how, batch):
    """End a commit's wait, and note what it and others see."""
    seen = {}
    committing, looking = await place.connect(), await place.connect()
    warned = []
    committing.add_log_listener(
        lambda connection, message: warned.append(message.server_source_function)
    )
    await looking.execute("SET lock_timeout = '50ms'")
    await committing.fetch(REGISTER, WRITER)
    await place.stall()
    keyed = [literal([f"{number:032x}"]) for number in (batch, 9)]
    add = (ADD, WRITER, batch, "{5}", *keyed, "{1}", "{1}")
    adding = asyncio.create_task(outcome(committing, *add))
    (waits,) = await until(place.waiting)
    seen["while it waits"] = await outcome(looking, RECALL, keyed[0])
    seen["who wants the row"] = await outcome(looking, ADD, WRITER, batch + 1, "{5}", *[None] * 4)
    await place.end(how, waits)
    seen["its own end"] = await adding
    seen["warnings"] = warned
    reading = asyncio.create_task(outcome(looking, RECALL, keyed[0]))
    await until(place.waiting)
    await place.go_on()
    seen["who reads it, with the standby"] = await reading
    for connection in (committing, looking):
        connection.terminate()
    return seen


async def test_a_wait_ends_in_the_model_as_in_postgresql():
    modelled = Modelled()
    async with real() as place:
        for batch, how in enumerate(("cancel", "terminate"), start=1):
            seen = await watch(place, how, batch)
            assert seen["while it waits"] == []
            assert seen["who wants the row"][0] == "LockNotAvailableError"
            assert len(seen["who reads it, with the standby"]) == 1
            assert await watch(modelled, how, batch) == seen
