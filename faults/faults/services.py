"""Faults of the services' processes; each is started again as a service manager would."""

import signal
from collections.abc import AsyncIterator

from faults.faults.fault import a_while, fault, index, stalled
from faults.nemesis import Nemesis
from faults.service import Service


async def _kill(service: Service) -> str:
    await service.end(signal.SIGKILL)
    return service.name


async def ask_to_stop(service: Service) -> str:
    """Ask a service to stop, and wait until it has; give what the history says of it."""
    ended = await service.end(signal.SIGTERM)
    return f"{service.name}, stopped in {ended.at - ended.asked:.1f} s"


@fault("adder killed", index=index)
async def adder_killed(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGKILL to an adder."""
    yield await _kill(nemesis.adder(index))


@fault("display killed", index=index)
async def display_killed(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGKILL to a display."""
    yield await _kill(nemesis.display(index))


@fault("reset killed")
async def reset_killed(nemesis: Nemesis) -> AsyncIterator[str]:
    """SIGKILL to the reset service."""
    yield await _kill(nemesis.system.reset)


@fault("adder asked to stop", index=index)
async def adder_asked_to_stop(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGTERM to an adder."""
    yield await ask_to_stop(nemesis.adder(index))


@fault("display asked to stop", index=index)
async def display_asked_to_stop(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGTERM to a display."""
    yield await ask_to_stop(nemesis.display(index))


@fault("reset asked to stop")
async def reset_asked_to_stop(nemesis: Nemesis) -> AsyncIterator[str]:
    """SIGTERM to the reset service."""
    yield await ask_to_stop(nemesis.system.reset)


@fault("adder stalled", index=index, seconds=a_while)
async def adder_stalled(nemesis: Nemesis, index: int) -> AsyncIterator[str]:
    """SIGSTOP to an adder, SIGCONT a while later."""
    adder = nemesis.adder(index)
    with stalled(adder.pid):
        yield adder.name
