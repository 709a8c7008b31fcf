"""Scenario 4: a zone is lost while people add. What was acknowledged has to count, and once.

So does AWS's own scenario (FIS's user guide, "AZ Availability: Power Interruption"): links are cut,
what runs there is gone, the database's standby takes over. Nothing is launched here, and the zone
does not come back.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import httpx

from rehearsal.standing import Standing
from tally.ledger.audit import audit
from tally.ledger.database import Database

_CLIENTS: Final = 4
# Of all clients before the zone is lost, and of each after it.
_BEFORE: Final = 100
_AFTER: Final = 25
# How long one try waits for its answer: as long as the load balancer for a target.
_SECONDS: Final = 10.0
_PAUSE: Final = 0.1


@dataclass(frozen=True)
class Result:
    """`difference` is `tally audit`'s; seconds are from the loss until no try failed any more."""

    zone: str
    of_primary: bool
    acknowledged: int
    counted: int
    difference: str | None
    adds_back: float
    reads_back: float

    @property
    def good(self) -> bool:
        return self.counted == self.acknowledged and self.difference is None

    def __str__(self) -> str:
        whose = "the primary's" if self.of_primary else "the standby's"
        return (
            f"{self.zone}, {whose} zone, was lost: {self.acknowledged} adds acknowledged,"
            f" {self.counted} counted; no add failed after {self.adds_back:.1f} s, and no read"
            f" after {self.reads_back:.1f} s; tally audit: {self.difference or 'no difference'}"
        )


def run(stands: Standing, zone: str, say: Callable[[str], None]) -> Result:
    """Add, lose the zone, add on, and count."""
    return asyncio.run(_under_load(stands, zone, say))


def lose(stands: Standing, zone: str) -> float:
    """Cut a zone off, and let the standby take over if the primary was in it; tell when."""
    for host in stands.network.hosts:
        if host.zone == zone:
            stands.network.cut(host)
    lost_at = time.monotonic()
    gone = [name for host, name in stands.serving.items() if host.zone == zone]
    stands.containers.engine.podman("kill", *gone)
    for node, proxy in stands.balancer.nodes.items():
        if node.zone == zone:
            proxy.close()
    stands.database.lose(zone)
    return lost_at


class _Asker:
    """Asks until it is answered, and notes when a try failed."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._failed_at: list[float] = []

    async def ask(self, method: str, path: str, status: int, **given: Any) -> httpx.Response:  # noqa: ANN401
        while True:
            try:
                answer = await self._client.request(method, path, **given)
            except httpx.TransportError:
                pass
            else:
                if answer.status_code == status:
                    return answer
                if answer.is_client_error:
                    raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
            self._failed_at.append(time.monotonic())
            await asyncio.sleep(_PAUSE)

    def back_after(self, lost_at: float) -> float:
        return max([0.0, *(it - lost_at for it in self._failed_at)])


class _Adding:
    """Clients that add 1 under a key of its own, again and again; after the loss so many more."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker
        self._numbers = count()
        self.acknowledged: set[int] = set()
        self.enough, self.lost = asyncio.Event(), asyncio.Event()

    async def go_on(self) -> None:
        left = _AFTER
        while left:
            number = next(self._numbers)
            add = {"json": {"value": "1"}, "headers": {"Idempotency-Key": f"add-{number}"}}
            await self._asker.ask("POST", "/adder_service/entries", 201, **add)
            self.acknowledged.add(number)
            if len(self.acknowledged) == _BEFORE:
                self.enough.set()
            left -= self.lost.is_set()


async def _under_load(stands: Standing, zone: str, say: Callable[[str], None]) -> Result:
    of_primary = stands.database.primary.zone == zone
    async with httpx.AsyncClient(
        base_url=stands.url, verify=stands.trust, timeout=_SECONDS
    ) as client:
        adds, reads = _Asker(client), _Asker(client)
        adding, added = _Adding(adds), asyncio.Event()
        async with asyncio.TaskGroup() as clients:
            clients.create_task(_read_until(added, reads))
            tasks = [clients.create_task(adding.go_on()) for _ in range(_CLIENTS)]
            await adding.enough.wait()
            say(f"{zone} is lost")
            lost_at = await asyncio.to_thread(lose, stands, zone)
            adding.lost.set()
            await asyncio.wait(tasks)
            added.set()
        total = (await reads.ask("GET", "/display_service/total", 200)).json()
    database = Database(stands.database.admin_url, timeout=_SECONDS)
    report = await audit(database)
    await database.close()
    return Result(
        zone,
        of_primary,
        len(adding.acknowledged),
        # Each add is 1.
        total["count"] if total["sum"] == str(total["count"]) else -1,
        report.difference,
        adds.back_after(lost_at),
        reads.back_after(lost_at),
    )


async def _read_until(ended: asyncio.Event, asker: _Asker) -> None:
    while not ended.is_set():
        await asker.ask("GET", "/display_service/total", 200)
        await asyncio.sleep(_PAUSE)
