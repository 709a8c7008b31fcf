"""Faults of a cluster's nodes and of the network between them; Patroni moves the leadership."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from typing import Final

from faults.clients import Additions
from faults.cluster import receiver
from faults.faults.fault import a_while, between, fault, index, stalled
from faults.nemesis import Nemesis
from faults.node import Node

# Long enough for a service that settles too easily to say that all is well.
_BETWEEN_WAITS: Final = 0.1
# Until all adders have the same adds before them.
_BEFORE_WAITS: Final = 1.0


@fault("leader killed", moves="failover")
async def leader_killed(nemesis: Nemesis) -> AsyncIterator[str]:
    """The leader's machine loses power, and is back once another leads."""
    leader, *_ = await nemesis.cluster.cluster.whole()
    await leader.kill()
    try:
        other = await nemesis.cluster.leadership.promoted(but=leader)
        yield f"{leader.name}; {other.name} leads"
    finally:
        await leader.start()


@fault("leader frozen and thawed", moves="failover", seconds=a_while)
async def leader_frozen(nemesis: Nemesis) -> AsyncIterator[str]:
    """All of the leader's processes are stopped, and go on a while after another leads."""
    leader, *_ = await nemesis.cluster.cluster.whole()
    with leader.frozen():
        other = await nemesis.cluster.leadership.promoted(but=leader)
        yield f"{leader.name}; {other.name} leads"


@fault("leader cut off", moves="failover", seconds=a_while)
async def leader_cut_off(nemesis: Nemesis) -> AsyncIterator[str]:
    """The leader hears neither etcd nor the other nodes; the services still reach it."""
    leader, *_ = await nemesis.cluster.cluster.whole()
    with leader.replication.silent(), leader.rest.silent(), leader.etcd.silent():
        other = await nemesis.cluster.leadership.promoted(but=leader)
        yield f"{leader.name}; {other.name} leads"


@fault("switchover", moves="switchover")
async def switchover(nemesis: Nemesis) -> AsyncIterator[str]:
    """Patroni is asked to let a standby lead."""
    leader, standby, _ = await nemesis.cluster.cluster.whole()
    names = {"leader": leader.name, "candidate": standby.name}
    other, _ = await asyncio.gather(
        nemesis.cluster.leadership.promoted(but=leader),
        leader.request("POST", "/switchover", names),
    )
    yield f"{leader.name}; {other.name} leads"


@fault("nodes cut from each other", index=index, seconds=a_while)
async def nodes_cut(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """The PostgreSQL of one node and that of another no longer hear each other."""
    nodes = await nemesis.cluster.cluster.whole()
    pair = [node for place, node in enumerate(nodes) if place != index % len(nodes)]
    with ExitStack() as cuts:
        for one, other in (pair, reversed(pair)):
            cuts.enter_context(one.replication.silent(partial(_comes_from, other)))
        yield " and ".join(node.name for node in pair)


@fault("standby's receiver stalled", seconds=a_while)
async def receiver_stalled(nemesis: Nemesis) -> AsyncIterator[str]:
    """SIGSTOP to the process that receives what a standby replays, which commits wait for."""
    _, standby, _ = await nemesis.cluster.cluster.whole()
    with stalled(await receiver(standby)):
        yield standby.name


@fault("all receivers stalled", seconds=between(11, 15))
async def all_receivers_stalled(nemesis: Nemesis) -> AsyncIterator[str]:
    """SIGSTOP to the receivers of both standbys: no commit is durable, and the leader gives up."""
    _, *standbys = await nemesis.cluster.cluster.whole()
    with ExitStack() as stalls:
        for standby in standbys:
            stalls.enter_context(stalled(await receiver(standby)))
        yield " and ".join(standby.name for standby in standbys)


@fault("leader lost with what waits", moves="failover", held=between(6, 8))
async def leader_lost(nemesis: Nemesis, held: float) -> AsyncIterator[str]:
    """No standby receives, and each wait of a commit is ended, until the leader is killed.

    Adds are sent to all adders at once: each is asked for what another stores, and waits for.
    """
    leader, *standbys = await nemesis.cluster.cluster.whole()
    receivers = [await receiver(standby) for standby in standbys]
    with ExitStack() as stalls:
        stalls.enter_context(_everywhere(nemesis.additions))
        await asyncio.sleep(_BEFORE_WAITS)
        for pid in receivers:
            stalls.enter_context(stalled(pid))
        ended = await _end_waits(leader, held)
        await leader.kill()
        # What has reached the standby's machine, but not its disk, is lost with the process.
        for pid in receivers:
            os.kill(pid, signal.SIGKILL)
    try:
        other = await nemesis.cluster.leadership.promoted(but=leader)
        yield f"{leader.name}, {ended} waits ended in {held} s; {other.name} leads"
    finally:
        await leader.start()


@contextmanager
def _everywhere(additions: Additions) -> Iterator[None]:
    additions.everywhere = True
    try:
        yield
    finally:
        additions.everywhere = False


async def _end_waits(leader: Node, seconds: float) -> int:
    """End all that waits for a standby, again and again; give how many waits that were."""
    until = time.monotonic() + seconds
    ended = 0
    for function in cycle(("pg_terminate_backend", "pg_cancel_backend")):
        row = await leader.fetchrow(
            f"SELECT count({function}(pid)) FROM pg_stat_activity"  # noqa: S608 - of constants
            " WHERE wait_event = 'SyncRep' AND usename LIKE 'tally%'"
        )
        ended += row[0]
        if time.monotonic() > until:
            break
        await asyncio.sleep(_BETWEEN_WAITS)
    return ended


@fault("walsender killed")
async def walsender_killed(nemesis: Nemesis) -> AsyncIterator[str]:
    """SIGKILL to the process that sends to a standby: PostgreSQL starts all its processes anew."""
    leader, standby, _ = await nemesis.cluster.cluster.whole()
    row = await leader.fetchrow(
        "SELECT pid FROM pg_stat_replication WHERE application_name = $1", standby.name
    )
    os.kill(row["pid"], signal.SIGKILL)
    yield f"{leader.name}'s for {standby.name}"


@fault("etcd away", held=between(1, 3))
async def etcd_away(nemesis: Nemesis, held: float) -> AsyncIterator[str]:
    """SIGSTOP to etcd until the leader gives up and all nodes are read-only, and a while longer."""
    leadership = nemesis.cluster.leadership
    with nemesis.cluster.cluster.without_etcd():
        await leadership.vacant()
        await asyncio.sleep(held)
    # Healed is what the services need: somebody who accepts writes.
    leader = await leadership.promoted()
    yield f"{held} s longer; {leader.name} leads"


def _comes_from(node: Node, first: bytes) -> bool:
    """Tell by the first message of a connection to PostgreSQL whether a node opened it."""
    return f"application_name\0{node.name}\0".encode() in first
