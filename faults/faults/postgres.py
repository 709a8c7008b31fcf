"""Faults of PostgreSQL's processes; the supervisor starts the server again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

from faults.faults.fault import INJECT_SECONDS, POLL_SECONDS, a_while, fault, index, stalled
from faults.nemesis import Nemesis


async def _end_server(nemesis: Nemesis, number: signal.Signals) -> AsyncIterator[str]:
    postgres = nemesis.system.postgres
    starts = postgres.starts
    os.kill(postgres.server.pid, number)
    yield number.name
    # Sessions outlive a killed server for a moment, and may still answer.
    await asyncio.to_thread(postgres.wait_for_restart, starts, INJECT_SECONDS)


@fault("PostgreSQL killed")
def postgres_killed(nemesis: Nemesis) -> AsyncIterator[str]:
    """SIGKILL to PostgreSQL's main process."""
    return _end_server(nemesis, signal.SIGKILL)


@fault("PostgreSQL's session killed", index=index)
async def session_killed(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGKILL to the process of an adder's session."""
    pid = await nemesis.session(index)
    os.kill(pid, signal.SIGKILL)
    yield "an adder's"
    async with asyncio.timeout(INJECT_SECONDS):
        while _exists(pid):  # noqa: ASYNC110 - not our child, so nobody tells us
            await asyncio.sleep(POLL_SECONDS)


@fault("PostgreSQL restarted fast")
def postgres_restarted_fast(nemesis: Nemesis) -> AsyncIterator[str]:
    """A fast shutdown (SIGINT) and a start."""
    return _end_server(nemesis, signal.SIGINT)


@fault("PostgreSQL restarted at once")
def postgres_restarted_at_once(nemesis: Nemesis) -> AsyncIterator[str]:
    """An immediate shutdown (SIGQUIT) and a start."""
    return _end_server(nemesis, signal.SIGQUIT)


@fault("PostgreSQL stalled", index=index, seconds=a_while)
async def postgres_stalled(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGSTOP to PostgreSQL's main process, while an adder needs a new session."""
    with stalled(nemesis.system.postgres.server.pid):
        # Open sessions go on; one adder has to find out that it gets no new one.
        nemesis.proxy(index).cut_all()
        yield f"{nemesis.adder(index).name} without a session"


@fault("PostgreSQL's session stalled", index=index, seconds=a_while)
async def session_stalled(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGSTOP to the process of an adder's session."""
    with stalled(await nemesis.session(index)):
        yield "an adder's"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
