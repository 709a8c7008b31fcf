"""What a fault's declaration says; see the package's docstring for how to add one."""

import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from faults.history import Move

# Draws a parameter; the bounds are the shortest and the longest that a fault may be held, in
# seconds, which depend on how much time the run has for each.
Draw = Callable[[random.Random, tuple[float, float]], Any]
Inject = Callable[..., AsyncIterator[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A declared fault; `inject` injects, yields a detail for the history, and heals.

    Those that leave every service able to go on say that it `serves`, and those that move the
    cluster's leadership how it `moves`.
    """

    name: str
    parameters: Mapping[str, Draw]
    inject: Inject
    serves: bool
    moves: Move | None = None

    @property
    def sentence(self) -> str:
        """What is done, for the report."""
        return (self.inject.__doc__ or "").partition("\n")[0].rstrip(".")

    def draw(self, rng: random.Random, bounds: tuple[float, float]) -> dict[str, Any]:
        """Draw all parameters, in the order of their declaration."""
        return {name: draw(rng, bounds) for name, draw in self.parameters.items()}


def fault(
    name: str, *, serves: bool = False, moves: Move | None = None, **parameters: Draw
) -> Callable[[Inject], Fault]:
    """Declare the decorated function as a fault; its docstring is the report's sentence.

    One that `serves` is held until every service has answered others meanwhile, and the most memory
    that each has held is noted.

    It is given a `Nemesis` and the parameters by name, all but `seconds`: so long the nemesis
    holds the fault where the function yields.
    """
    return lambda inject: Fault(name, parameters, inject, serves, moves)


def index(rng: random.Random, _: tuple[float, float]) -> int:
    """One of several like processes, modulo how many there are."""
    return rng.randrange(6)


def a_while(rng: random.Random, bounds: tuple[float, float]) -> float:
    """Seconds between the bounds."""
    return round(rng.uniform(*bounds), 2)


def between(least: float, most: float) -> Draw:
    """A number between the two, to three places."""
    return lambda rng, _: round(rng.uniform(least, most), 3)


def some(least: int, most: int) -> Draw:
    """A whole number from `least` to `most`."""
    return lambda rng, _: rng.randint(least, most)


def exactly(count: int) -> Draw:
    """Always this number; nothing is drawn."""
    return lambda _rng, _: count


# What an injection waits for (a batch to cut, an add to fail, a process to end, a server to start
# again) happens within a second; this is for a machine that is busy.
INJECT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.01


@contextmanager
def stalled(pid: int) -> Iterator[None]:
    """Stop a process; it goes on however the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it was ended meanwhile
            os.kill(pid, signal.SIGCONT)
