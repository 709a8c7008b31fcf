"""Faults of an adder's session at a cluster's leader, whose commits wait for a standby."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from faults.cluster import receiver
from faults.faults.fault import INJECT_SECONDS, POLL_SECONDS, a_while, fault, stalled
from faults.nemesis import Nemesis
from faults.proxy import Cut

_WAITING: Final = """
    SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'tally_adder'
"""


@fault("sessions terminated")
def sessions_terminated(nemesis: Nemesis) -> AsyncIterator[str]:
    """`pg_terminate_backend` of an adder's session, at each moment of a commit."""
    return _end(nemesis, "SELECT pg_terminate_backend($1)")


@fault("sessions cancelled")
def sessions_cancelled(nemesis: Nemesis) -> AsyncIterator[str]:
    """`pg_cancel_backend` of an adder's session, at each moment of a commit."""
    return _end(nemesis, "SELECT pg_cancel_backend($1)")


async def _end(nemesis: Nemesis, statement: str) -> AsyncIterator[str]:
    leader, standby, _ = await nemesis.cluster.cluster.whole()
    proxy = nemesis.proxy(nemesis.cluster.cluster.nodes.index(leader))

    async def end(pid: int) -> None:
        await leader.fetchrow(statement, pid)

    try:
        async with asyncio.timeout(INJECT_SECONDS):
            for moment in Cut:
                await proxy.arm(moment, end)
            with stalled(await receiver(standby)):
                while (waits := await leader.fetchrow(_WAITING)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
                await end(waits["pid"])
                yield "before, during and after a commit, and while it waited for the standby"
    finally:
        proxy.disarm()


@fault("read-only by default", seconds=a_while)
async def read_only_by_default(nemesis: Nemesis) -> AsyncIterator[str]:
    """The database makes its transactions read-only, unless a session asks otherwise."""
    leader, *_ = await nemesis.cluster.cluster.whole()
    await leader.fetchrow("ALTER SYSTEM SET default_transaction_read_only = on")
    await leader.fetchrow("SELECT pg_reload_conf()")
    try:
        for proxy in nemesis.system.proxies:
            proxy.cut_all()  # new sessions meet it
        yield leader.name
    finally:
        await leader.fetchrow("ALTER SYSTEM RESET default_transaction_read_only")
        await leader.fetchrow("SELECT pg_reload_conf()")
