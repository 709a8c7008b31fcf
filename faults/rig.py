"""One run: a stack under load, one fault after the other, and the evidence for the judge."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg

from faults import checkers, conduct
from faults.checkers import Verdict
from faults.clients import Books, Load
from faults.history import Fault, FinalState, History, Resource
from faults.injection import Injector, NotStruck
from faults.inspection import inspect, server_version
from faults.misbehaving import Misbehaving
from faults.schedule import Planned
from faults.stack import Service, Stack
from faults.volume import Volume

# Under load before memory and descriptors are noted: caches are filled, connections open.
_WARM_UP_SECONDS: Final = 5.0
# Under load after the last fault, before they are noted again.
_CALM_SECONDS: Final = 5.0
# Three times what is allowed: what comes back late is told from what never does.
_BACK_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.01


# By process and kind: bytes of memory, or a number of descriptors.
_Resources = dict[tuple[str, Resource], int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves to be judged, and what the rig itself found."""

    history: History
    final: FinalState
    conduct: list[Verdict]
    postgres_version: str

    def judge(self) -> list[Verdict]:
        """Say what was found of each promise. Raises `ValueError` for what can't be judged."""
        return [*checkers.examine(self.history, self.final), *self.conduct]


class Run:
    """A run of a schedule."""

    def __init__(
        self,
        stack: Stack,
        volume: Volume | None,
        seed: int,
        say: Callable[[str], None],
        *,
        warm_up: float = _WARM_UP_SECONDS,
        calm: float = _CALM_SECONDS,
    ) -> None:
        """Use a stack that is not started yet; `say` gets a line for each thing that happens.

        `warm_up` and `calm` are the seconds of load before the first fault and after the last.
        """
        self._stack = stack
        self._volume = volume
        self._dice = random.Random(seed)
        self._say = say
        self._warm_up = warm_up
        self._calm = calm
        self._history = History()
        self._books = Books(self._history)
        self._back: list[tuple[str, float | None]] = []
        # For each fault nothing, or why it did not strike.
        self._strikes: list[str | None] = []

    async def carry_out(self, plan: Sequence[Planned]) -> Outcome:
        """Start everything, inject the faults, and collect what came of it.

        Raises EmbeddedError or NotReady where it does not start.
        """
        stack = self._stack
        async with stack.running():
            load = Load(
                self._books,
                self._dice,
                [service.address for service in stack.adders],
                [service.address for service in stack.displays],
                stack.resets[0].address,
            )
            injector = self._injector(load)
            try:
                load.start()
                await asyncio.sleep(self._warm_up)
                before = _resources(stack.services)
                began = time.monotonic()
                for planned in plan:
                    await asyncio.sleep(planned.calm)
                    await self._strike(injector, planned, began)
                await asyncio.sleep(self._calm)
                after = _resources(stack.services)
                await load.stop()
            finally:
                load.cancel()
            # From here on nothing but the audit touches the ledger.
            url = stack.postgres.server.admin_url
            version = await server_version(url)
            final = replace(
                await inspect(url),
                back=self._back,
                resources=[(*named, held, after[named]) for named, held in before.items()],
            )
        for process, kind, held, holds in final.resources:
            self._say(f"{process}: {kind} {held} -> {holds}")
        verdicts = conduct.examine(
            self._history,
            final,
            strikes=self._strikes,
            services=stack.services,
            stopped=injector.stopped,
            migrations=injector.migrations,
        )
        return Outcome(self._history, final, verdicts, version)

    def _injector(self, load: Load) -> Injector:
        misbehaving = Misbehaving(
            load.next_number,
            self._books,
            random.Random(self._dice.random()),
            load.additions,
            [service.address for service in self._stack.adders],
        )
        return Injector(self._stack, self._books, misbehaving, self._volume)

    async def _strike(self, injector: Injector, planned: Planned, began: float) -> None:
        struck_at = time.monotonic()
        try:
            struck = await injector.inject(planned)
        except (NotStruck, OSError, asyncpg.PostgresError) as error:
            # That is for the judge to hear, too, with all that the other faults show.
            self._strikes.append(f"{planned}: {type(error).__name__} {error}")
            self._say(f"{struck_at - began:7.1f} s  {planned.name}: did not strike")
            return
        self._strikes.append(None)
        proving = [service.name for service in self._stack.services]
        seconds: float | None = None
        while time.monotonic() - struck.ended < _BACK_SECONDS:
            if self._books.has_answered(proving, struck.effective):
                seconds = time.monotonic() - struck.ended
                break
            await asyncio.sleep(_POLL_SECONDS)
        self._history.mark(Fault(planned.name, struck_at, struck.ended, struck.detail))
        self._back.append((planned.name, seconds))
        shown = "never back" if seconds is None else f"back after {seconds:.2f} s"
        self._say(f"{struck_at - began:7.1f} s  {planned.name}: {struck.detail}; {shown}")


def _resources(services: Sequence[Service]) -> _Resources:
    """Read each service's resident memory, in bytes, and its open descriptors."""
    found: _Resources = {}
    for service in services:
        folder = Path(f"/proc/{service.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        found[service.name, "memory"] = pages * os.sysconf("SC_PAGE_SIZE")
        found[service.name, "descriptors"] = len(list((folder / "fd").iterdir()))
    return found
