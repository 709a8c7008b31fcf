"""Faults of hostile clients, one for each bound on what a client may cost.

All but the last are held until every service has served others meanwhile.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from faults import hostile
from faults.faults.fault import a_while, exactly, fault, index, some
from faults.faults.services import ask_to_stop
from faults.hostile import Hostile, attack
from faults.misbehaving import idle
from faults.nemesis import Nemesis
from faults.service import MAX_CONNECTIONS, MAX_VIEWERS, Service
from tally.services.display import MAX_EXPORTS
from tally.web.request import MAX_BODY, MAX_HELD

# Enough that a bound for each client shows in the memory of all, and few enough for one processor.
_few: Final = some(5, 15)
_hostile_fault: Final = partial(fault, serves=True, index=index, seconds=a_while)


async def _refused(service: Service, kind: Hostile, count: int, status: int) -> AsyncIterator[str]:
    """Attack from when each client was refused once."""
    async with attack(service.address, kind, count) as clients:
        await clients.answered(status, count)
        yield f"{count} at {service.name}, refused with {status}"


async def _endured(service: Service, kind: Hostile, count: int) -> AsyncIterator[str]:
    """Attack from when each client has a connection."""
    async with attack(service.address, kind, count) as clients:
        await clients.saw(lambda seen: seen.opened >= count)
        yield f"{count} at {service.name}"


@_hostile_fault("trailers without end", count=_few)
def trailers_without_end(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients send a body in chunks whose trailers never end."""
    return _refused(nemesis.adder(index), hostile.TRAILERS, count, 431)


@_hostile_fault("chunks of one byte", count=_few)
def chunks_of_one_byte(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients send a body byte by byte, each in a chunk of its own."""
    return _refused(nemesis.adder(index), hostile.ONE_BYTE_CHUNKS, count, 413)


@_hostile_fault("chunks that say too much", count=_few)
def chunks_that_say_too_much(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients send chunks of one byte with kilobytes of extensions."""
    return _refused(nemesis.adder(index), hostile.EXTENSIONS, count, 413)


@_hostile_fault("head byte by byte", count=_few)
def head_byte_by_byte(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients send the head of a request slowly and never end it."""
    return _endured(nemesis.service(index), hostile.SLOW_HEAD, count)


@_hostile_fault("body byte by byte", count=_few)
def body_byte_by_byte(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients send an add's body slowly and never end it."""
    return _endured(nemesis.adder(index), hostile.SLOW_BODY, count)


@_hostile_fault("body to an event stream", count=_few)
async def body_to_an_event_stream(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients open event streams with a body that never ends."""
    display = nemesis.display(index)
    async with attack(display.address, hostile.BODY_TO_EVENTS, count) as clients:
        await clients.saw(lambda seen: seen.cut_off >= count)
        yield f"{count} at {display.name}, cut off"


@_hostile_fault("many bodies at once", count=exactly(MAX_HELD // MAX_BODY + 10))
async def many_bodies_at_once(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients send more bodies at once, each the greatest, than an adder holds."""
    adder = nemesis.adder(index)
    async with attack(adder.address, hostile.ALMOST_A_BODY, count) as clients:
        await clients.answered(503, 1)
        yield f"{count} at {adder.name}"


@_hostile_fault("unread answers", count=_few)
def unread_answers(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients ask for page after page and read none."""
    return _endured(nemesis.display(index), hostile.UNREAD_PAGES, count)


@_hostile_fault("unread event streams", count=exactly(MAX_VIEWERS + 100))
async def unread_event_streams(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients open more event streams than a display allows, and read none."""
    display = nemesis.display(index)
    async with attack(display.address, hostile.UNREAD_EVENTS, count) as clients:
        await clients.answered(503, count - MAX_VIEWERS)
        yield f"{count} at {display.name}, {count - MAX_VIEWERS} refused"


@_hostile_fault("unread exports", count=exactly(4 * MAX_EXPORTS))
async def unread_exports(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients ask for more exports than a display allows; half of them read none."""
    display = nemesis.display(index)
    async with (
        attack(display.address, hostile.UNREAD_EXPORTS, count),
        attack(display.address, hostile.EXPORT, count) as reading,
    ):
        # A small ledger's export is over too soon to keep others out for long.
        await reading.answered(503, 1)
        yield f"{2 * count} at {display.name}, more than {MAX_EXPORTS} refused"


@_hostile_fault("connection flood", count=exactly(200))
async def connection_flood(nemesis: Nemesis, index: int, count: int) -> AsyncIterator[str]:
    """Clients take all connections that a service allows, and come again and again for more."""
    service = nemesis.service(index)
    async with (
        idle([service.address], MAX_CONNECTIONS),
        attack(service.address, hostile.NOTHING, count) as clients,
    ):
        await clients.answered(503, count)
        yield f"{count} more than {MAX_CONNECTIONS} at {service.name}"


@fault("asked to stop amid unfinished requests", index=index, count=_few)
async def asked_to_stop_amid_unfinished_requests(
    nemesis: Nemesis, index: int, count: int
) -> AsyncIterator[str]:
    """SIGTERM to a service whose clients never finish a request, or read no answer."""
    service = nemesis.service(index)
    kinds = (
        hostile.SLOW_HEAD,
        hostile.SLOW_BODY,
        hostile.BODY_TO_EVENTS,
        hostile.UNREAD_PAGES,
        hostile.UNREAD_EVENTS,
        hostile.UNREAD_EXPORTS,
    )
    async with AsyncExitStack() as attacks:
        for kind in kinds:
            clients = await attacks.enter_async_context(attack(service.address, kind, count))
            await clients.saw(lambda seen: seen.opened >= count)
        yield await ask_to_stop(service)
