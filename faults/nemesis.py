"""What a fault can reach: the system under test, its disk, and clients that misbehave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg

from faults.clients import Additions
from faults.cluster_system import ClusterSystem
from faults.misbehaving import Misbehaving
from faults.proxy import Proxy
from faults.recorder import Recorder
from faults.service import STOP_SECONDS, Service
from faults.system import System
from faults.volume import Volume

T = TypeVar("T")


class NotInjected(Exception):
    """The fault could not be injected; the message says why."""


@dataclass(frozen=True, slots=True)
class Nemesis:
    """Given to each fault that is injected."""

    system: System
    recorder: Recorder
    additions: Additions
    misbehaving: Misbehaving
    volume: Volume | None
    """The database's disk; without it, the disk can't be filled."""

    @property
    def cluster(self) -> ClusterSystem:
        if not isinstance(self.system, ClusterSystem):
            raise NotInjected("the database is no cluster")
        return self.system

    def adder(self, index: int) -> Service:
        return _pick(self.system.adders, index)

    def display(self, index: int) -> Service:
        return _pick(self.system.displays, index)

    def service(self, index: int) -> Service:
        return _pick(self.system.services, index)

    def proxy(self, index: int) -> Proxy:
        """The proxy between an adder and PostgreSQL."""
        return _pick(self.system.proxies, index)

    async def session(self, index: int) -> int:
        """Find the process of one of the adders' sessions."""
        connection = await self.connect()
        try:
            rows = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'tally_adder' ORDER BY pid"
            )
        finally:
            await connection.close()
        if not rows:
            raise NotInjected("no adder has a session")
        pid: int = _pick([row["pid"] for row in rows], index)
        return pid

    async def connect(self) -> Any:  # noqa: ANN401 - asyncpg is untyped
        """Connect to the database as its owner."""
        return await asyncpg.connect(self.system.admin_url, timeout=STOP_SECONDS)


def _pick(these: Sequence[T], index: int) -> T:
    return these[index % len(these)]
