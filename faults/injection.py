"""How each fault of a schedule is injected into the running stack."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import asyncpg

from faults.clients import Books
from faults.misbehaving import Misbehaving, idle
from faults.proxy import Cut, Proxy
from faults.schedule import FULL_DISK, KINDS, Parameters, Planned
from faults.stack import STOP_SECONDS, Service, Stack
from faults.volume import Volume

T = TypeVar("T")

# What has to happen for a fault to have struck (a batch to cut, an add to fail, a process to end,
# a server to start again) happens within a second; this is for a machine that is busy.
_STRIKE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.01
# More than any server's limit on connections here, so that a loop over it ends.
_MOST_CONNECTIONS: Final = 1000


class NotStruck(Exception):
    """The fault could not be injected; the message says why."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that is over: from `ended` on things may come back.

    Whatever is sent after `effective` and is answered shows that they are. Both are in seconds of
    `time.monotonic`.
    """

    detail: str
    ended: float
    effective: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """A service that was asked to stop under load."""

    service: str
    asked: float
    seconds: float
    status: int


class Injector:
    """Injects faults, one at a time."""

    def __init__(
        self, stack: Stack, books: Books, misbehaving: Misbehaving, volume: Volume | None
    ) -> None:
        """Without a volume, the disk can't be filled."""
        self._stack = stack
        self._books = books
        self._misbehaving = misbehaving
        self._volume = volume
        self.stopped: list[Stopping] = []
        """Each service that was asked to stop."""
        self.migrations: list[tuple[int, str]] = []
        """Exit status and output of each migration that ran."""
        self._by_name: dict[str, Callable[[Parameters], Awaitable[Struck]]] = {
            "adder killed": lambda given: self._kill(self._adder(given)),
            "display killed": lambda given: self._kill(_pick(stack.displays, given)),
            "reset killed": lambda given: self._kill(stack.resets[0]),
            "adder asked to stop": lambda given: self._ask_to_stop(self._adder(given)),
            "display asked to stop": lambda given: self._ask_to_stop(_pick(stack.displays, given)),
            "reset asked to stop": lambda given: self._ask_to_stop(stack.resets[0]),
            "adder stalled": self._stall_adder,
            "PostgreSQL killed": lambda given: self._end_server(signal.SIGKILL),
            "PostgreSQL restarted fast": lambda given: self._end_server(signal.SIGINT),
            "PostgreSQL restarted at once": lambda given: self._end_server(signal.SIGQUIT),
            "PostgreSQL's session killed": self._kill_session,
            "PostgreSQL stalled": self._stall_server,
            "PostgreSQL's session stalled": self._stall_session,
            "cut before commit": lambda given: self._cut(Cut.BEFORE_COMMIT, given),
            "cut during commit": lambda given: self._cut(Cut.DURING_COMMIT, given),
            "cut after commit": lambda given: self._cut(Cut.AFTER_COMMIT, given),
            "database out of reach": self._cut_off,
            "slow network": self._slow_down,
            FULL_DISK: self._fill_disk,
            "connection limit reached": self._use_up_connections,
            "clients hang up": self._hang_up,
            "half a body": self._send_half_a_body,
            "idle connections": self._idle,
            "two migrations at once": self._migrate_twice,
        }
        assert self._by_name.keys() == KINDS.keys()  # noqa: S101

    async def inject(self, planned: Planned) -> Struck:
        """Inject a fault and wait until it is over.

        Raises NotStruck, TimeoutError where it does not strike in time, or what PostgreSQL says.
        """
        return await self._by_name[planned.name](planned.parameters)

    # The services

    async def _kill(self, service: Service) -> Struck:
        now = time.monotonic()
        await service.end(signal.SIGKILL)
        return Struck(service.name, now, time.monotonic())

    async def _ask_to_stop(self, service: Service) -> Struck:
        asked = time.monotonic()
        ended = await service.end(signal.SIGTERM)
        now = time.monotonic()
        self.stopped.append(Stopping(service.name, asked, now - asked, ended.status))
        return Struck(f"{service.name}, stopped in {now - asked:.1f} s", now, now)

    async def _stall_adder(self, given: Parameters) -> Struck:
        adder = self._adder(given)
        with _stalled(adder.pid):
            await asyncio.sleep(given["seconds"])
        return _over(f"{adder.name} for {given['seconds']} s")

    # PostgreSQL

    async def _end_server(self, number: signal.Signals) -> Struck:
        postgres = self._stack.postgres
        starts = postgres.starts
        now = time.monotonic()
        os.kill(postgres.server.pid, number)
        # Sessions outlive a killed server for a moment, and may still answer.
        await postgres.wait_until_started_again(starts, _STRIKE_SECONDS)
        return Struck(number.name, now, time.monotonic())

    async def _kill_session(self, given: Parameters) -> Struck:
        pid = await self._session(given)
        now = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(_STRIKE_SECONDS):
            while _exists(pid):  # noqa: ASYNC110 - not our child, so nobody tells us
                await asyncio.sleep(_POLL_SECONDS)
        return Struck("an adder's", now, time.monotonic())

    async def _stall_server(self, given: Parameters) -> Struck:
        with _stalled(self._stack.postgres.server.pid):
            # Open sessions go on; one adder has to find out that it gets no new one.
            self._proxy(given).cut_all()
            await asyncio.sleep(given["seconds"])
        return _over(f"for {given['seconds']} s, {self._adder(given).name} without a session")

    async def _stall_session(self, given: Parameters) -> Struck:
        with _stalled(await self._session(given)):
            await asyncio.sleep(given["seconds"])
        return _over(f"an adder's, for {given['seconds']} s")

    async def _fill_disk(self, given: Parameters) -> Struck:
        if self._volume is None:
            raise NotStruck("the database has no disk of its own")
        failures = self._books.failures
        self._volume.fill()
        try:
            async with asyncio.timeout(_STRIKE_SECONDS):
                while self._books.failures == failures:
                    # What was freed meanwhile (a crash takes its temporary files along) is taken.
                    self._volume.fill()
                    await asyncio.sleep(_POLL_SECONDS)
            await asyncio.sleep(given["seconds"])
        finally:
            self._volume.release()
        return _over(f"for {given['seconds']} s from the first failure on")

    async def _use_up_connections(self, given: Parameters) -> Struck:
        proxy = self._proxy(given)
        held: list[Any] = []
        # The adder's own place is taken, too, before it can come back for it.
        proxy.refuse = True
        proxy.cut_all()
        try:
            while len(held) < _MOST_CONNECTIONS:
                try:
                    held.append(await self._connect())
                except asyncpg.TooManyConnectionsError:
                    break
            proxy.refuse = False
            await asyncio.sleep(given["seconds"])
        finally:
            proxy.refuse = False
            for connection in held:
                connection.terminate()
        return _over(f"{len(held)} more for {given['seconds']} s, {self._adder(given).name} out")

    # The network

    async def _cut(self, cut: Cut, given: Parameters) -> Struck:
        proxy = self._proxy(given)
        happened = proxy.arm(cut)
        try:
            async with asyncio.timeout(_STRIKE_SECONDS):
                await happened.wait()
        finally:
            proxy.disarm()
        return _over(self._adder(given).name)

    async def _cut_off(self, given: Parameters) -> Struck:
        proxy = self._proxy(given)
        proxy.refuse = True
        proxy.cut_all()
        try:
            await asyncio.sleep(given["seconds"])
        finally:
            proxy.refuse = False
        return _over(f"of {self._adder(given).name} for {given['seconds']} s")

    async def _slow_down(self, given: Parameters) -> Struck:
        proxy = self._proxy(given)
        proxy.delay = given["delay"]
        try:
            await asyncio.sleep(given["seconds"])
        finally:
            proxy.delay = 0
        return _over(
            f"{given['delay']} s late each way at {self._adder(given).name}"
            f" for {given['seconds']} s"
        )

    # Clients and commands

    async def _hang_up(self, given: Parameters) -> Struck:
        await self._misbehaving.hang_up(given["count"])
        return _over(f"{given['count']}")

    async def _send_half_a_body(self, given: Parameters) -> Struck:
        await self._misbehaving.send_half_a_body(given["count"], given["seconds"])
        return _over(f"{given['count']}, held for {given['seconds']} s")

    async def _idle(self, given: Parameters) -> Struck:
        services = [*self._stack.adders, *self._stack.displays]
        addresses = [service.address for service in services]
        opened = await idle(addresses, given["count"], given["seconds"])
        few = "" if opened == given["count"] else f" of {given['count']}, this machine's limit"
        return _over(f"{opened}{few}")

    async def _migrate_twice(self, given: Parameters) -> Struck:
        done = await asyncio.gather(*(self._stack.tally("migrate") for _ in range(2)))
        self.migrations += done
        return _over(f"exit statuses {', '.join(str(status) for status, _ in done)}")

    # Which

    def _adder(self, given: Parameters) -> Service:
        return _pick(self._stack.adders, given)

    def _proxy(self, given: Parameters) -> Proxy:
        return _pick(self._stack.proxies, given)

    async def _session(self, given: Parameters) -> int:
        """Find the process of one of the adders' sessions."""
        connection = await self._connect()
        try:
            rows = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'tally_adder' ORDER BY pid"
            )
        finally:
            await connection.close()
        if not rows:
            raise NotStruck("no adder has a session")
        pid: int = _pick([row["pid"] for row in rows], given)
        return pid

    async def _connect(self) -> Any:  # noqa: ANN401 - asyncpg is untyped
        return await asyncpg.connect(self._stack.postgres.server.admin_url, timeout=STOP_SECONDS)


def _pick(things: Sequence[T], given: Parameters) -> T:
    place: int = given["place"]
    return things[place % len(things)]


def _over(detail: str) -> Struck:
    now = time.monotonic()
    return Struck(detail, now, now)


@contextmanager
def _stalled(pid: int) -> Iterator[None]:
    """Hold a process up; it goes on however the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it was ended meanwhile
            os.kill(pid, signal.SIGCONT)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
