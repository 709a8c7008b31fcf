"""Runs the system under load, injects one fault after the other, and returns the history."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from faults.clients import Load
from faults.faults import FAULTS
from faults.final_state import record_final_state
from faults.generator import Planned
from faults.history import Fault, Peak, Usage
from faults.misbehaving import Misbehaving
from faults.nemesis import Nemesis, NotInjected
from faults.node import AWAY
from faults.recorder import Recorder
from faults.service import NotReady, Service
from faults.system import System
from faults.volume import Volume

# Under load before memory and descriptors are noted: caches are filled, connections open.
_WARM_UP_SECONDS: Final = 5.0
# Under load after the last fault, before they are noted again.
_CALM_SECONDS: Final = 5.0
# Three times what is allowed: what comes back late is told from what never does.
_BACK_SECONDS: Final = 30.0
# So long is a fault held for others to be served meanwhile.
_SERVING_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01


class Runner:
    """One run of a plan."""

    def __init__(
        self,
        system: System,
        recorder: Recorder,
        volume: Volume | None,
        seed: int,
        notice: Callable[[str], None],
        *,
        warm_up: float = _WARM_UP_SECONDS,
        calm: float = _CALM_SECONDS,
    ) -> None:
        """Use a system that is not started yet; `notice` gets a line for each fault.

        `warm_up` and `calm` are the seconds of load before the first fault and after the last.
        """
        self._system = system
        self._recorder = recorder
        self._volume = volume
        self._rng = random.Random(seed)
        self._notice = notice
        self._warm_up = warm_up
        self._calm = calm

    async def run(self, plan: Sequence[Planned]) -> str:
        """Start everything, inject the faults, and record all; return PostgreSQL's version.

        Raises EmbeddedError or NotReady where it does not start.
        """
        system = self._system
        async with system.running():
            load = Load(
                self._recorder,
                self._rng,
                [service.address for service in system.adders],
                [service.address for service in system.displays],
                system.reset.address,
            )
            nemesis = self._nemesis(load)
            try:
                load.start()
                await asyncio.sleep(self._warm_up)
                self._record_usage()
                began = time.monotonic()
                for planned in plan:
                    await asyncio.sleep(planned.calm)
                    await self._inject(nemesis, planned, began)
                await asyncio.sleep(self._calm)
                self._record_usage()
                await load.stop()
            finally:
                load.cancel()
            # From here on nothing but the audit touches the ledger.
            return await record_final_state(system.admin_url, self._recorder)

    def _nemesis(self, load: Load) -> Nemesis:
        misbehaving = Misbehaving(
            load.next_number,
            self._recorder,
            random.Random(self._rng.random()),
            load.additions,
            [service.address for service in self._system.adders],
        )
        return Nemesis(self._system, self._recorder, load.additions, misbehaving, self._volume)

    async def _inject(self, nemesis: Nemesis, planned: Planned, began: float) -> None:
        fault = await inject(nemesis, planned)
        shown = f"{fault.began - began:7.1f} s  {fault.name}: "
        if fault.error is not None:
            self._notice(f"{shown}not injected, {fault.error}")
        elif await self._is_back(fault):
            self._notice(
                f"{shown}{fault.detail}; back after {time.monotonic() - fault.healed:.2f} s"
            )
        else:
            self._notice(f"{shown}{fault.detail}; never back")
        whole = time.monotonic() if await self._system.whole() else None
        self._recorder.record(msgspec.structs.replace(fault, whole=whole))

    async def _is_back(self, fault: Fault) -> bool:
        """Wait until every service has answered a request that was sent after the fault."""
        return await _all_answered(
            self._system, self._recorder, fault.over, fault.healed + _BACK_SECONDS
        )

    def _record_usage(self) -> None:
        for service in self._system.services:
            self._recorder.record(_usage(service))


async def inject(nemesis: Nemesis, planned: Planned) -> Fault:
    """Inject a fault, hold it, and heal it."""
    began = time.monotonic()
    parameters = dict(planned.parameters)
    seconds = parameters.pop("seconds", 0.0)
    declared = FAULTS[planned.name]
    moves = declared.moves
    try:
        async with asynccontextmanager(declared.inject)(nemesis, **parameters) as detail:
            serving = time.monotonic() if declared.serves else None
            await asyncio.sleep(seconds)
            if serving is not None:
                await _see_others_served(nemesis, planned.name, serving)
            healed = time.monotonic()
    except (NotInjected, NotReady, *AWAY) as error:
        now = time.monotonic()
        return Fault(planned.name, began, now, now, error=f"{type(error).__name__} {error}")
    held = f"{detail} for {seconds} s" if seconds else detail
    return Fault(planned.name, began, healed, time.monotonic(), held, serving=serving, moves=moves)


async def _see_others_served(nemesis: Nemesis, fault: str, since: float) -> None:
    until = time.monotonic() + _SERVING_SECONDS
    await _all_answered(nemesis.system, nemesis.recorder, since, until)
    for service in nemesis.system.services:
        nemesis.recorder.record(
            Peak(service.name, time.monotonic(), fault, _peak_memory(service.pid))
        )


async def _all_answered(system: System, recorder: Recorder, since: float, until: float) -> bool:
    """Wait, no longer than `until`, for each service to answer a request that was sent since."""
    names = [service.name for service in system.services]
    while not recorder.has_answered(names, since):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _peak_memory(pid: int) -> int:
    """Read the most that was ever resident (VmHWM in proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmHWM"].split()[0]) * 1024


def _usage(service: Service) -> Usage:
    folder = Path(f"/proc/{service.pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return Usage(
        service.name,
        time.monotonic(),
        memory=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(list((folder / "fd").iterdir())),
    )
