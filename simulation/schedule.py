"""A schedule: what clients ask for and what goes wrong, all drawn before anything runs.

Every draw's first choice is the plainest, so that a schedule shrinks to what matters.
"""

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final

from detangle import choice, randint

from simulation.faults import FAULTS, Fault
from simulation.functions import MAX_SUM

# Seconds in which all is asked for and goes wrong.
LENGTH: Final = 3.0
_STEP: Final = 0.05
_ASKS: Final = 5
_ORDERS: Final = 1
_FAULTS: Final = 5
_SECONDS: Final = (0.2, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class Ask:
    """An add that a client wants: at which adder, again at which, and how long it waits.

    `values` is how many, and `size` about how large each is.
    """

    at: float
    adder: int
    values: int
    size: int
    batch: bool
    keyed: bool
    twice: bool
    patience: float | None
    retry_adder: int


@dataclass(frozen=True, slots=True)
class Order:
    """A reset that an operator orders, and whether it is then undone."""

    at: float
    undo: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault, with what its parameters are drawn from."""

    at: float
    fault: Fault
    adder: int
    seconds: float
    seed: int

    def __str__(self) -> str:
        return f"{self.fault.__name__}(adder {self.adder}, {self.seconds} s, {self.seed})"


@dataclass(frozen=True, slots=True)
class Schedule:
    """`jitter` draws the delays of messages; without, all take the same time."""

    seed: int
    jitter: Random | None
    adders: int
    max_sum: Decimal
    asks: list[Ask]
    orders: list[Order]
    faults: list[Planned]

    @property
    def length(self) -> float:
        """Seconds until everything is over that goes wrong."""
        return max([LENGTH, *(planned.at + planned.seconds for planned in self.faults)])


def draw() -> Schedule:
    """Draw a schedule from detangle's choices."""
    jitter = randint(0, 2**16)
    adders = choice((1, 2, 2))
    max_sum = choice((MAX_SUM, MAX_SUM, MAX_SUM, Decimal(40)))
    asks = [ask for _ in range(_ASKS) if (ask := _ask(adders)) is not None]
    orders = [order for _ in range(_ORDERS) if (order := _order()) is not None]
    faults = [planned for _ in range(_FAULTS) if (planned := _fault(adders)) is not None]
    return Schedule(
        jitter,
        Random(jitter) if jitter else None,
        adders,
        max_sum,
        sorted(asks, key=lambda it: it.at),
        orders,
        sorted(faults, key=lambda it: it.at),
    )


def plain(adder: int) -> Ask:
    """A plain add, which waits for its answer."""
    return Ask(0.0, adder, 1, 0, False, False, False, None, adder)


def _ask(adders: int) -> Ask | None:
    there = choice((False, True, True, True))
    ask = Ask(
        at=_moment(),
        adder=randint(0, 1) % adders,
        values=choice((1, 1, 1, 2, 3)),
        size=choice((0, 0, 30, -30)),
        batch=choice((False, False, True)),
        keyed=choice((False, True, True)),
        twice=choice((False, False, False, True)),
        patience=choice((None, None, 0.01, 0.5)),
        retry_adder=randint(0, 1) % adders,
    )
    return ask if there else None


def _order() -> Order | None:
    there = choice((False, False, False, False, False, True))
    order = Order(at=_moment(), undo=choice((False, True)))
    return order if there else None


def _fault(adders: int) -> Planned | None:
    kind = randint(0, len(FAULTS) + 2)
    planned = Planned(
        at=_moment(),
        fault=FAULTS[kind % len(FAULTS)],
        adder=randint(0, 1) % adders,
        seconds=choice(_SECONDS),
        seed=randint(0, 63),
    )
    return planned if 0 < kind <= len(FAULTS) else None


def _moment() -> float:
    return randint(0, round(LENGTH / _STEP)) * _STEP
