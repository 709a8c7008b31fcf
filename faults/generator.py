"""Draws the faults of a run from a seed before it begins, so that the run can be repeated."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from faults.faults import FAULTS

# Shares of a slot. What is left is for coming back.
_CALM_SHARE: Final = (0.1, 0.3)
_LENGTH_SHARE: Final = (0.1, 0.3)
# The longest that a fault is held: longer than the 5 s that a request waits for the database.
_LONGEST_SECONDS: Final = 7.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come, and the seconds of calm before it."""

    name: str
    calm: float
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.name} ({given})" if given else self.name


def draw(seed: int, seconds: float, slot_seconds: float, faults: Iterable[str]) -> list[Planned]:
    """Draw a run of about so many seconds; each fault comes once at least, in a random order.

    `slot_seconds` is the average time from one to the next in a long run: calm, the fault, and
    coming back. The same arguments give the same run.
    """
    rng = random.Random(seed)
    names = list(faults)
    count = max(len(names), round(seconds / slot_seconds))
    slot = seconds / count
    shortest, longest = (share * slot for share in _LENGTH_SHARE)
    # Some faults of a long run outlast a request's patience; the others make up for them.
    longest = _LONGEST_SECONDS if slot > 0.8 * slot_seconds else longest
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += rng.sample(names, len(names))
    return [
        Planned(
            name,
            round(rng.uniform(*_CALM_SHARE) * slot, 2),
            FAULTS[name].draw(rng, (shortest, longest)),
        )
        for name in drawn[:count]
    ]
