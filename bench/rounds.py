"""Candidates measured in turn, round by round, so that what changes over time changes for all."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from bench.processor import DISTURBING_SHARE, Meter, family_times

Figures = dict[str, float]
"""What one run of one candidate gave, by name: `rate` a second, `p50` and `p99` in ms, ..."""


class Invalid(Exception):
    """Something went wrong while measuring, so that there is no figure."""


@dataclass(frozen=True)
class Spread:
    """A median, the least and the greatest, and the rounds they are of."""

    median: float
    low: float
    high: float
    rounds: list[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise values; raises `statistics.StatisticsError` where there are none."""
        return cls(statistics.median(values), min(values), max(values), list(values))


@dataclass
class Rounds:
    """The figures of each candidate, one for each round, and which rounds others disturbed."""

    figures: dict[str, list[Figures]]
    disturbed: list[bool] = field(default_factory=list)

    def spread(self, candidate: str, figure: str = "rate") -> Spread:
        """One candidate's figure over the rounds."""
        return Spread.of([figures[figure] for figures in self.figures[candidate]])

    def ratio(self, candidate: str, other: str, figure: str = "rate") -> Spread:
        """A figure over another candidate's, divided round by round and only then summarised."""
        pairs = zip(self.figures[candidate], self.figures[other], strict=True)
        return Spread.of([mine[figure] / theirs[figure] for mine, theirs in pairs])

    def cost(self, candidate: str, family: str) -> Spread:
        """What a request cost a family, the kernel's part included."""
        return Spread.of(
            [each[f"{family} user"] + each[f"{family} kernel"] for each in self.figures[candidate]]
        )


def interleave(
    candidates: Mapping[str, Callable[[], Figures]],
    count: int,
    progress: Callable[[str], None],
    settle: Callable[[], None] = lambda: None,
) -> Rounds:
    """Run every candidate once, in order, then all again, `count` times.

    `settle` is called before each run: it waits until the machine has done with the last one.
    """
    rounds = Rounds({name: [] for name in candidates})
    for number in range(1, count + 1):
        busiest = 0.0
        for name, run in candidates.items():
            settle()
            meter = Meter()
            figures = run()
            busiest = max(busiest, meter.others())
            rounds.figures[name].append(figures)
            progress(f"round {number} of {count}, {name}: {shown(figures)}")
        disturbed = busiest > DISTURBING_SHARE
        rounds.disturbed.append(disturbed)
        if disturbed:
            progress(f"round {number} is marked: others used up to {busiest:.2f} of a core")
    return rounds


def with_costs(run: Callable[[], Figures], families: Mapping[str, int]) -> Figures:
    """Run a load; adds to its figures what a request cost each family, by the name given to it.

    In microseconds: "its name user", and "its name kernel" for what the kernel did for it.
    """
    before = {name: family_times(pid) for name, pid in families.items()}
    figures = run()
    return figures | {
        f"{name} {part}": (now - then) / figures["requests"] * 1e6
        for name, pid in families.items()
        for part, now, then in zip(("user", "kernel"), family_times(pid), before[name], strict=True)
    }


def shown(figures: Figures) -> str:
    """Figures in one line, for those who watch."""
    return ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())
