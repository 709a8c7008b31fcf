"""Watches the nodes of a cluster: who leads since when, and how many sessions each has."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg

from faults.history import Leader, Sessions
from faults.node import AWAY, Node
from faults.service import NotReady

_LOOK_EVERY: Final = 0.05
_ANSWER_SECONDS: Final = 1.0
# Patroni's keys expire within seconds; this is for a busy machine.
_SECONDS: Final = 90.0
# Whether a node leads; whether it has a standby to wait for, so that a commit on it can end; the
# most sessions that one process of Tally's has on it: a process names them alike.
_STATE: Final = """
    SELECT NOT pg_is_in_recovery() AS leads,
           EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync') AS waits,
           (SELECT coalesce(max(count), 0) FROM (
               SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'tally%'
                GROUP BY usename, split_part(application_name, ' ', 2)
           ) AS processes) AS sessions
"""


class Leadership:
    """Looks at each node, many times a second, for as long as `watching`."""

    def __init__(self, nodes: Sequence[Node], record: Callable[[Leader | Sessions], None]) -> None:
        self._nodes = nodes
        self._record = record
        self._leads = dict.fromkeys(nodes, False)
        self._writable = dict.fromkeys(nodes, False)
        self._sessions = dict.fromkeys(nodes, 0)
        self._promotions: list[Node] = []
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._watch(node)) for node in self._nodes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended

    async def promoted(self, but: Node | None = None) -> Node:
        """Wait until a node leads anew and accepts writes, and give it; raises NotReady."""
        before = len(self._promotions)

        def found() -> list[Node]:
            return [node for node in self._promotions[before:] if node is not but]

        await self._until(lambda: bool(found()))
        return found()[0]

    async def vacant(self) -> None:
        """Wait until nobody leads; raises NotReady."""
        await self._until(lambda: not any(self._leads.values()))

    async def _until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(_SECONDS), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            raise NotReady("the cluster's leadership does not change") from None

    async def _watch(self, node: Node) -> None:
        while True:
            with suppress(*AWAY):
                connection: Any = await asyncpg.connect(node.url, timeout=_ANSWER_SECONDS)
                try:
                    while True:
                        await self._note(
                            node, *await connection.fetchrow(_STATE, timeout=_ANSWER_SECONDS)
                        )
                        await asyncio.sleep(_LOOK_EVERY)
                finally:
                    connection.terminate()
            await asyncio.sleep(_LOOK_EVERY)

    async def _note(self, node: Node, leads: bool, waits: bool, sessions: int) -> None:
        if sessions > self._sessions[node]:
            self._sessions[node] = sessions
            self._record(Sessions(node.name, time.monotonic(), sessions))
        promoted = leads and waits and not self._writable[node]
        if promoted:
            self._record(Leader(node.name, time.monotonic()))
        async with self._changed:
            if promoted:
                self._promotions.append(node)
            self._leads[node] = leads
            # As long as it leads: it may lose its standby meanwhile.
            self._writable[node] = leads and (self._writable[node] or waits)
            self._changed.notify_all()
