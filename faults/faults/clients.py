"""Faults of clients that break off."""

from collections.abc import AsyncIterator

from faults.faults.fault import a_while, exactly, fault, some
from faults.misbehaving import idle
from faults.nemesis import Nemesis


@fault("clients hang up", serves=True, count=some(20, 60))
async def clients_hang_up(nemesis: Nemesis, count: int) -> AsyncIterator[str]:
    """Clients send an add and do not wait for its answer."""
    await nemesis.misbehaving.hang_up(count)
    yield f"{count}"


@fault("half a body", serves=True, count=some(20, 60), seconds=a_while)
async def half_a_body(nemesis: Nemesis, count: int) -> AsyncIterator[str]:
    """Clients send half of an add, wait, and hang up."""
    async with nemesis.misbehaving.half_bodies(count):
        yield f"{count}"


@fault("idle connections", serves=True, count=exactly(10_000), seconds=a_while)
async def idle_connections(nemesis: Nemesis, count: int) -> AsyncIterator[str]:
    """Thousands of connections to adders and displays that send nothing."""
    services = [*nemesis.system.adders, *nemesis.system.displays]
    async with idle([service.address for service in services], count) as opened:
        yield f"{opened}" + ("" if opened == count else f" of {count}, this machine's limit")
