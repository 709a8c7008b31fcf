"""A world: adders, clients and the cluster, for as long as a schedule lasts."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from faults.checkers.adds import (
    durable_once,
    in_order,
    nothing_else,
    refused_absent,
    told_of_keys,
    unknown_once,
)
from faults.checkers.evidence import Evidence
from faults.checkers.ledger import chain, resets
from faults.checkers.replays import replays
from faults.history import Attempt, FinalState, History
from simulation.adder import REQUEST_TIMEOUT, Process, Reply
from simulation.client import CREATED, UNAVAILABLE, Client
from simulation.cluster import Cluster
from simulation.functions import Functions
from simulation.operator import OK, Operator
from simulation.promises import Broken, InternalError, Misled, NotServed, NotTogether, Promises
from simulation.schedule import Planned, Schedule, draw, plain
from simulation.seeded import seeded
from simulation.state import TOTAL, Total

# Seconds after everything was healed until every adder serves again.
_RESUMES_WITHIN: Final = 10.0
# So many plain adds at once are one commit, or two where one was under way.
_TOGETHER: Final = 3
_COMMITS: Final = 2
_PAUSE: Final = 0.1
CHECKERS: Final = (
    durable_once,
    refused_absent,
    told_of_keys,
    unknown_once,
    nothing_else,
    in_order,
    chain,
    resets,
    replays,
)
Event = tuple[float, tuple[object, ...]]


class World:
    """One run of a schedule."""

    def __init__(
        self, schedule: Schedule, functions: Callable[[Decimal], Functions], *, traced: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.events: list[Event] = []
        self.trace = self._note if traced else self._ignore
        self.cluster = Cluster(functions(schedule.max_sum), schedule.jitter, self.trace)
        self.promises = Promises(self)
        self.processes: list[Process] = []
        self._schedule = schedule
        self._clients = [Client(self, number, ask) for number, ask in enumerate(schedule.asks, 1)]
        self._operators: list[Operator] = []
        self._starts = 0
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._tasks: list[asyncio.Task[Any]] = []

    # For what takes part

    def name_of(self, adder: int) -> str:
        """The name of an adder's newest process, under which the database knows it."""
        return self.processes[adder].user

    def later(self, seconds: float, step: Callable[[], object]) -> None:
        self._loop.call_later(seconds, step)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        self._tasks.append(self._loop.create_task(work))

    def fail(self, error: Broken) -> None:
        """End the run: a promise was not kept."""
        if not self._broken.done():
            self._broken.set_exception(error)

    def at_its_end(self, attempt: Attempt) -> Attempt:
        return replace(attempt, ended=self.now())

    async def kill(self, adder: int, seconds: float) -> None:
        """Kill an adder's process; a new one starts after a while."""
        process = self.processes[adder]
        process.kill()
        await asyncio.sleep(seconds)
        if self.processes[adder] is process:
            await self._start(adder)

    async def restart(self, adder: int) -> None:
        """Start a new process of an adder, and stop the old one."""
        process = self.processes[adder]
        await self._start(adder)
        await process.stop()

    async def _start(self, adder: int) -> None:
        self._starts += 1
        process = Process(f"adder-{adder + 1}", self._starts, self._note_internal_error)
        self.processes[adder : adder + 1] = [process]
        await process.start()

    def _note_internal_error(self, error: str) -> None:
        self.fail(InternalError(error))

    def _note(self, *what: object) -> None:
        self.events.append((self.now(), what))

    def _ignore(self, *what: object) -> None:
        pass

    # The run

    async def run(self) -> None:
        """Run the schedule to its end. Raises `Broken`."""
        random.seed(self._schedule.seed)
        with seeded(self.now, self.cluster.connect):
            run = self._loop.create_task(self._run())
            await asyncio.wait([run, self._broken], return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                run.cancel()
                self._broken.result()
            await run

    async def _run(self) -> None:
        for adder in range(self._schedule.adders):
            await self._start(adder)
        for planned in self._schedule.faults:
            self.later(planned.at, partial(self._inject, planned))
        for client in self._clients:
            self.later(client.ask.at, partial(self._ask, client))
        for number, order in enumerate(self._schedule.orders, 1):
            self._operators.append(Operator(self, number, order, REQUEST_TIMEOUT))
            self.later(order.at, partial(self._ask, self._operators[-1]))
        await asyncio.sleep(self._schedule.length)
        self.cluster.heal()
        self.trace("healed")
        await asyncio.gather(*(self._serves(adder) for adder in range(self._schedule.adders)))
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(client.settle() for client in self._clients))
        await self._shares_commits(self._schedule.adders - 1)
        self.promises.check_sessions()
        self.promises.check_batches()
        self.cluster.fail_over(0.0, old="killed", demoted_after=0.0)
        self._check()

    def _ask(self, client: Client | Operator) -> None:
        self.spawn(client.run())

    def _inject(self, planned: Planned) -> None:
        self.trace("fault", planned)
        planned.fault(self, planned.adder, planned.seconds, Random(planned.seed))

    async def _serves(self, adder: int) -> None:
        """Wait until an adder serves again."""
        healed = self.now()
        while True:
            reply = await self._plain(adder)
            if reply is not None and reply.status != UNAVAILABLE:
                return
            if self.now() > healed + _RESUMES_WITHIN:
                self.fail(NotServed(f"{self.name_of(adder)} does not serve again"))
            await asyncio.sleep(_PAUSE)

    async def _shares_commits(self, adder: int) -> None:
        before = len(self.cluster.leader.log)
        await asyncio.gather(*(self._plain(adder) for _ in range(_TOGETHER)))
        commits = len(self.cluster.leader.log) - before
        if commits > _COMMITS:
            self.fail(NotTogether(f"{_TOGETHER} adds at once took {commits} commits"))

    async def _plain(self, adder: int) -> Reply | None:
        """Ask for one plain add, which nothing disturbs."""
        client = Client(self, len(self._clients) + 1, plain(adder))
        self._clients.append(client)
        return await client.attempt(adder)

    # The judgement

    def _check(self) -> None:
        history = History()
        asked = (*self._clients, *self._operators)
        attempts = [attempt for one in asked for attempt in one.attempts]
        for attempt in sorted(attempts, key=lambda it: it.ended):
            history.add(self._remembered(attempt))
        history.add(self._final_state())
        evidence = Evidence(history)
        for checker in CHECKERS:
            for finding in checker(evidence):
                if finding is not None:
                    raise Misled(f"{checker.__name__}: {finding}")

    def _remembered(self, attempt: Attempt) -> Attempt:
        """A restored backup may have lost what was acknowledged before."""
        if attempt.status in (OK, CREATED) and attempt.ended < self.cluster.restored_at:
            return replace(attempt, status=None, answer=None, replayed=False, error="restored")
        return attempt

    def _final_state(self) -> FinalState:
        rows = self.cluster.leader.rows
        total: Total = rows[TOTAL]
        return FinalState(
            entries=[
                (number, f"{row.value:f}", f"{row.sum_after:f}")
                for (table, number), row in rows.items()
                if table == "entry"
            ],
            total=total._asdict() | {"sum": f"{total.sum:f}"},
            resets=[
                row._asdict() | {"id": number, "sum": f"{row.sum:f}"}
                for (table, number), row in rows.items()
                if table == "reset"
            ],
        )


async def simulate(
    functions: Callable[[Decimal], Functions] = Functions, *, traced: list[Event] | None = None
) -> None:
    """Draw a schedule and run it. Raises `Broken`; `traced` gets what happened."""
    world = World(draw(), functions, traced=traced is not None)
    try:
        await world.run()
    finally:
        if traced is not None:
            traced += world.events
