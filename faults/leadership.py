"""Watches who leads the cluster, and records since when each leader has accepted writes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from faults.history import Leader
from faults.node import AWAY, LEADS, Node
from faults.service import NotReady

_LOOK_EVERY: Final = 0.05
_ANSWER_SECONDS: Final = 1.0
# Patroni's keys expire within seconds; this is for a busy machine.
_SECONDS: Final = 90.0


class Leadership:
    """Looks at each node, many times a second, for as long as `watching`."""

    def __init__(self, nodes: Sequence[Node], record: Callable[[Leader], None]) -> None:
        self._nodes = nodes
        self._record = record
        self._leads = dict.fromkeys(nodes, False)
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

    async def moved_from(self, node: Node) -> Node:
        """Wait until another node is promoted from now on, and give it; raises NotReady."""
        before = len(self._promotions)

        def promoted() -> list[Node]:
            return [one for one in self._promotions[before:] if one is not node]

        await self._until(lambda: bool(promoted()))
        return promoted()[0]

    async def vacant(self) -> None:
        """Wait until nobody leads; raises NotReady."""
        await self._until(lambda: not self._leading())

    async def filled(self) -> Node:
        """Wait until a node leads, and give it; raises NotReady."""
        await self._until(lambda: bool(self._leading()))
        return self._leading()[0]

    def _leading(self) -> list[Node]:
        return [node for node, leads in self._leads.items() if leads]

    async def _until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(_SECONDS), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            raise NotReady("the cluster's leadership does not change") from None

    async def _watch(self, node: Node) -> None:
        connection: Any = None
        while True:
            try:
                if connection is None:
                    connection = await asyncpg.connect(node.url, timeout=_ANSWER_SECONDS)
                leads = await connection.fetchval(LEADS, timeout=_ANSWER_SECONDS)
            except AWAY:
                if connection is not None:
                    connection.terminate()
                connection = None
            else:
                await self._note(node, leads)
            await asyncio.sleep(_LOOK_EVERY)

    async def _note(self, node: Node, leads: bool) -> None:
        if leads and not self._leads[node]:
            self._record(Leader(node.name, time.monotonic()))
            self._promotions.append(node)
        async with self._changed:
            self._leads[node] = leads
            self._changed.notify_all()
