"""What is broken when: drawn from a seed before a run begins, so that a run can be repeated."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

# The average time from one fault to the next in a long run: calm, the fault, and coming back.
_SLOT_SECONDS: Final = 5.0
# Shares of a slot. What is left is for coming back.
_CALM_SHARE: Final = (0.1, 0.3)
_LENGTH_SHARE: Final = (0.1, 0.3)
# The longest that anything is held up: longer than the 5 s that a request waits for the database.
_LONGEST_SECONDS: Final = 7.0
IDLE_CONNECTIONS: Final = 10_000

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come: seconds of calm before it, and what it needs to know."""

    name: str
    calm: float
    parameters: Parameters

    def __str__(self) -> str:
        """Say it on one line."""
        given = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.name} ({given})" if given else self.name


# How each kind's parameters are drawn: from dice, and the shortest and longest it may take.
_Draw = Callable[[random.Random, float, float], dict[str, Any]]


def _nothing(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    return {}


def _seconds(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    return {"seconds": round(dice.uniform(shortest, longest), 2)}


def _place(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    """One of several like processes: a number that is taken modulo how many there are."""
    return {"place": dice.randrange(6)}


def _place_and_seconds(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    return _place(dice, shortest, longest) | _seconds(dice, shortest, longest)


def _slow(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    drawn = _place_and_seconds(dice, shortest, longest)
    return drawn | {"delay": round(dice.uniform(0.05, 0.2), 3)}


def _count(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    return {"count": dice.randint(20, 60)}


def _count_and_seconds(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    return _count(dice, shortest, longest) | _seconds(dice, shortest, longest)


def _idle(dice: random.Random, shortest: float, longest: float) -> dict[str, Any]:
    return {"count": IDLE_CONNECTIONS} | _seconds(dice, shortest, longest)


FULL_DISK: Final = "full disk"
KINDS: Final[Mapping[str, _Draw]] = {
    "adder killed": _place,
    "display killed": _place,
    "reset killed": _nothing,
    "adder asked to stop": _place,
    "display asked to stop": _place,
    "reset asked to stop": _nothing,
    "adder stalled": _place_and_seconds,
    "PostgreSQL killed": _nothing,
    "PostgreSQL's session killed": _place,
    "PostgreSQL restarted fast": _nothing,
    "PostgreSQL restarted at once": _nothing,
    "PostgreSQL stalled": _place_and_seconds,
    "PostgreSQL's session stalled": _place_and_seconds,
    "cut before commit": _place,
    "cut during commit": _place,
    "cut after commit": _place,
    "database out of reach": _place_and_seconds,
    "slow network": _slow,
    FULL_DISK: _seconds,
    "connection limit reached": _place_and_seconds,
    "clients hang up": _count,
    "half a body": _count_and_seconds,
    "idle connections": _idle,
    "two migrations at once": _nothing,
}


def draw(seed: int, seconds: float, leave_out: frozenset[str] = frozenset()) -> list[Planned]:
    """Draw a run of about so many seconds; each kind comes once at least, in a random order.

    The same arguments give the same run.
    """
    dice = random.Random(seed)
    kinds = [kind for kind in KINDS if kind not in leave_out]
    count = max(len(kinds), round(seconds / _SLOT_SECONDS))
    slot = seconds / count
    shortest, longest = (share * slot for share in _LENGTH_SHARE)
    # Some faults of a long run outlast a request's patience; the others make up for them.
    longest = _LONGEST_SECONDS if slot > 0.8 * _SLOT_SECONDS else longest
    names: list[str] = []
    while len(names) < count:
        names += dice.sample(kinds, len(kinds))
    return [
        Planned(
            name,
            round(dice.uniform(*_CALM_SHARE) * slot, 2),
            KINDS[name](dice, shortest, longest),
        )
        for name in names[:count]
    ]
