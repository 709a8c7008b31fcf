"""Faults of the connection between an adder and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

from faults.faults.fault import INJECT_SECONDS, a_while, between, fault, index
from faults.nemesis import Nemesis
from faults.proxy import Cut


async def _cut(nemesis: Nemesis, index: int, cut: Cut) -> AsyncIterator[str]:
    proxy = nemesis.proxy(index)
    happened = proxy.arm(cut)
    try:
        async with asyncio.timeout(INJECT_SECONDS):
            await happened
    finally:
        proxy.disarm()
    yield nemesis.adder(index).name


@fault("cut before commit", index=index)
def cut_before_commit(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """The connection is lost before the commit."""
    return _cut(nemesis, index, Cut.BEFORE_COMMIT)


@fault("cut during commit", index=index)
def cut_during_commit(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """The connection is lost while PostgreSQL commits."""
    return _cut(nemesis, index, Cut.DURING_COMMIT)


@fault("cut after commit", index=index)
def cut_after_commit(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """The connection is lost before the commit is confirmed."""
    return _cut(nemesis, index, Cut.AFTER_COMMIT)


@fault("database out of reach", index=index, seconds=a_while)
async def database_out_of_reach(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """All connections of an adder are lost, new ones refused."""
    with nemesis.proxy(index).refusing():
        yield f"of {nemesis.adder(index).name}"


@fault("slow network", index=index, seconds=a_while, delay=between(0.05, 0.2))
async def slow_network(nemesis: Nemesis, index: int, delay: float) -> AsyncIterator[str]:
    """All that an adder sends and receives comes late."""
    proxy = nemesis.proxy(index)
    proxy.delay = delay
    try:
        yield f"{delay} s late each way at {nemesis.adder(index).name}"
    finally:
        proxy.delay = 0
