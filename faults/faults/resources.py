"""Faults that leave PostgreSQL without disk or connections."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg

from faults.faults.fault import INJECT_SECONDS, POLL_SECONDS, a_while, fault, index
from faults.nemesis import Nemesis, NotInjected

# More than any server's limit on connections here, so that a loop over it ends.
_MOST_CONNECTIONS: Final = 1000


@fault("full disk", seconds=a_while)
async def full_disk(nemesis: Nemesis) -> AsyncIterator[str]:
    """The database's disk is full, from the first add that fails on."""
    volume, recorder = nemesis.volume, nemesis.recorder
    if volume is None:
        raise NotInjected("the database has no disk of its own")
    failed = recorder.failed_adds
    volume.fill()
    try:
        async with asyncio.timeout(INJECT_SECONDS):
            while recorder.failed_adds == failed:
                # What was freed meanwhile (a crash takes its temporary files along) is taken.
                volume.fill()
                await asyncio.sleep(POLL_SECONDS)
        yield "from the first failure on"
    finally:
        volume.release()


@fault("connection limit reached", index=index, seconds=a_while)
async def connection_limit_reached(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """All of PostgreSQL's connections are taken, an adder's among them."""
    held: list[Any] = []
    try:
        # The adder's own connection is taken, too, before it can come back for it.
        with nemesis.proxy(index).refusing():
            while len(held) < _MOST_CONNECTIONS:
                try:
                    held.append(await nemesis.connect())
                except asyncpg.TooManyConnectionsError:
                    break
        yield f"{len(held)} more, {nemesis.adder(index).name} out"
    finally:
        for connection in held:
            connection.terminate()
