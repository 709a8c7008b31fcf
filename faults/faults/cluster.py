"""Faults of a cluster's nodes and of the network between them; Patroni moves the leadership."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial

from faults.cluster import receiver
from faults.faults.fault import a_while, between, fault, index, stalled
from faults.nemesis import Nemesis
from faults.node import Node


@fault("leader killed", moves="failover")
async def leader_killed(nemesis: Nemesis) -> AsyncIterator[str]:
    """The leader's machine loses power, and is back once another leads."""
    leader, *_ = await nemesis.cluster.cluster.whole()
    await leader.kill()
    try:
        other = await nemesis.cluster.leadership.moved_from(leader)
        yield f"{leader.name}; {other.name} leads"
    finally:
        await leader.start()


@fault("leader frozen and thawed", moves="failover", seconds=a_while)
async def leader_frozen(nemesis: Nemesis) -> AsyncIterator[str]:
    """All of the leader's processes are stopped, and go on a while after another leads."""
    leader, *_ = await nemesis.cluster.cluster.whole()
    with leader.frozen():
        other = await nemesis.cluster.leadership.moved_from(leader)
        yield f"{leader.name}; {other.name} leads"


@fault("leader cut off", moves="failover", seconds=a_while)
async def leader_cut_off(nemesis: Nemesis) -> AsyncIterator[str]:
    """The leader hears neither etcd nor the other nodes; the services still reach it."""
    leader, *_ = await nemesis.cluster.cluster.whole()
    with leader.replication.silent(), leader.rest.silent(), leader.etcd.silent():
        other = await nemesis.cluster.leadership.moved_from(leader)
        yield f"{leader.name}; {other.name} leads"


@fault("switchover", moves="switchover")
async def switchover(nemesis: Nemesis) -> AsyncIterator[str]:
    """Patroni is asked to let a standby lead."""
    leader, standby, _ = await nemesis.cluster.cluster.whole()
    names = {"leader": leader.name, "candidate": standby.name}
    other, _ = await asyncio.gather(
        nemesis.cluster.leadership.moved_from(leader),
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
    leader = await leadership.filled()
    yield f"{held} s longer; {leader.name} leads"


def _comes_from(node: Node, first: bytes) -> bool:
    """Tell by the first message of a connection to PostgreSQL whether a node opened it."""
    return f"application_name\0{node.name}\0".encode() in first
