"""Each hostile client meets its bound: it is refused or cut off, and others are served."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from faults import hostile
from faults.checkers.processes import PEAK_BYTES
from faults.hostile import attack
from faults.httpclient import Address
from faults.misbehaving import idle
from tally.services.display import MAX_EXPORTS
from tally.web.request import MAX_BODY, MAX_HELD
from tests.support.http import ENTRIES, logged
from tests.support.processes import wait_for

MAX_CONNECTIONS, MAX_VIEWERS = 300, 20
FEW = 5
BODIES = MAX_HELD // MAX_BODY + 10


def answered(status, count=FEW):
    return lambda seen: seen.answers[status] >= count


def cut_off(status, count=FEW):
    return lambda seen: seen.answers[status] >= count and seen.cut_off >= count


# How many there are of each, and what they must see. All attack at once.
CLIENTS = {
    "trailers": (hostile.TRAILERS, FEW, cut_off(431)),
    "one-byte-chunks": (hostile.ONE_BYTE_CHUNKS, FEW, cut_off(413)),
    "extensions": (hostile.EXTENSIONS, FEW, cut_off(413)),
    "slow-head": (hostile.SLOW_HEAD, FEW, cut_off(408)),
    # Too slow, or refused at once while others hold all that may be held.
    "slow-body": (
        hostile.SLOW_BODY,
        FEW,
        lambda seen: seen.cut_off >= FEW and seen.answers[408] + seen.answers[503] >= FEW,
    ),
    # Refused, or ended if the stream had begun.
    "body-to-events": (hostile.BODY_TO_EVENTS, FEW, lambda seen: seen.cut_off >= FEW),
    "bodies": (hostile.ALMOST_A_BODY, BODIES, answered(503, BODIES - MAX_HELD // MAX_BODY)),
    "unread-pages": (hostile.UNREAD_PAGES, FEW, cut_off(200)),
    "unread-events": (hostile.UNREAD_EVENTS, MAX_VIEWERS + FEW, answered(503)),
    "unread-exports": (hostile.UNREAD_EXPORTS, 4 * MAX_EXPORTS, lambda seen: seen.cut_off > 0),
    "exports": (hostile.EXPORT, 4 * MAX_EXPORTS, answered(503, 1)),
}


@pytest.fixture(scope="module")
def running(tally_up):
    return tally_up(
        TALLY_MAX_CONNECTIONS=str(MAX_CONNECTIONS),
        TALLY_MAX_VIEWERS=str(MAX_VIEWERS),
        TALLY_LOG="json",
    )


@pytest.fixture(scope="module")
def address(running):
    return Address("up-1", int(running.url.rpartition(":")[2]))


@pytest.fixture(scope="module")
def attacked(running, address):
    """What became of each attack: the error, if its clients did not see what they must.

    And how another client was answered once all of them had, but went on.
    """

    async def all_at_once():
        async with AsyncExitStack() as attacks:
            seen = {
                name: await attacks.enter_async_context(attack(address, kind, count))
                for name, (kind, count, _) in CLIENTS.items()
            }
            met = await asyncio.gather(
                *(seen[name].saw(expected) for name, (_, _, expected) in CLIENTS.items()),
                return_exceptions=True,
            )
            async with httpx.AsyncClient(base_url=running.url, timeout=30) as another:
                answer = await another.post(ENTRIES, json={"value": 1})
        found = {
            name: None if error is None else f"{error!r}: {vars(seen[name])}"
            for name, error in zip(CLIENTS, met, strict=True)
        }
        return found, answer.status_code

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("name", CLIENTS)
def test_a_hostile_client_meets_its_bound(attacked, name):
    assert attacked[0][name] is None


def test_others_are_served_meanwhile(attacked):
    assert attacked[1] == 201


def test_memory_stays_within_its_bound(attacked, running):
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    [peak] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    assert int(peak.split()[1]) * 1024 < PEAK_BYTES


def test_no_client_makes_an_internal_error(attacked, running):
    errors = [line for line in logged(running) if line["level"] == "error"]
    assert [line for line in errors if line["event"] != "request" or line["status"] == 500] == []


def test_all_is_given_back(attacked, running):
    folder = Path(f"/proc/{running.process.pid}/fd")
    wait_for(lambda: len(os.listdir(folder)) < 50, said="for connections to be closed")


def test_connections_beyond_the_limit_are_refused(attacked, address):
    async def flood():
        async with (
            idle([address], MAX_CONNECTIONS),
            attack(address, hostile.NOTHING, FEW) as clients,
        ):
            await clients.answered(503, FEW)

    asyncio.run(flood())


def test_clients_that_never_finish_keep_no_service_from_stopping(attacked, running, address):
    async def stop():
        async with AsyncExitStack() as attacks:
            for kind, count, _ in CLIENTS.values():
                clients = await attacks.enter_async_context(attack(address, kind, count))
                await clients.saw(lambda seen, count=count: seen.opened >= count)
            running.process.send_signal(signal.SIGTERM)
            return await asyncio.to_thread(running.stop)

    assert asyncio.run(stop()) == 0
