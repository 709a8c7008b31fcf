"""What each line of the table must reach, what it aims for, and whether it did."""

from dataclasses import asdict, dataclass, replace
from typing import Literal

from bench.rounds import Rounds, Spread

Verdict = Literal["aim reached", "met", "missed", "measured"]


@dataclass(frozen=True)
class Goal:
    """A bound on a figure."""

    bound: float
    more_is_better: bool

    def reached_by(self, value: float) -> bool:
        """Whether a value is on the right side of the bound, or on it."""
        return value >= self.bound if self.more_is_better else value <= self.bound

    def text(self, unit: str) -> str:
        """The bound in words."""
        side = "at least" if self.more_is_better else "at most"
        return f"{side} {shown(self.bound, unit)}"


def at_least(bound: float) -> Goal:
    """More is better."""
    return Goal(bound, more_is_better=True)


def at_most(bound: float) -> Goal:
    """Less is better."""
    return Goal(bound, more_is_better=False)


@dataclass(frozen=True)
class Measure:
    """One line of the table: a name for machines, what it says, its unit, and its goals."""

    name: str
    what: str
    unit: str = "x"
    must: Goal | None = None
    aim: Goal | None = None

    def about(self, **sizes: int) -> "Measure":
        """The same with the sizes that were measured filled in."""
        return replace(self, what=self.what.format(**sizes))

    def without_goals(self) -> "Measure":
        """The same where its goals do not apply, as they are of a larger size."""
        return replace(self, must=None, aim=None)

    def verdict(self, value: float) -> Verdict:
        """What a measured value means."""
        if self.must is None:
            return "measured"
        if not self.must.reached_by(value):
            return "missed"
        return "aim reached" if self.aim and self.aim.reached_by(value) else "met"


@dataclass(frozen=True)
class Result:
    """A measured line."""

    measure: Measure
    spread: Spread
    disturbed: int
    """How many of its rounds others disturbed."""

    @classmethod
    def of(cls, measure: Measure, spread: Spread, rounds: Rounds) -> "Result":
        """A line that was measured over these rounds."""
        return cls(measure, spread, sum(rounds.disturbed))

    @property
    def verdict(self) -> Verdict:
        """What the median means."""
        return self.measure.verdict(self.spread.median)

    def for_json(self) -> dict[str, object]:
        """The line as the results file keeps it."""
        measure = self.measure
        return {
            "name": measure.name,
            "what": measure.what,
            "unit": measure.unit,
            **asdict(self.spread),
            "must": measure.must and measure.must.text(measure.unit),
            "aim": measure.aim and measure.aim.text(measure.unit),
            "verdict": self.verdict,
            "disturbed": self.disturbed,
        }


def shown(value: float, unit: str) -> str:
    """A figure for people: three digits that count, and the unit."""
    number = f"{value:,.0f}" if value >= _THOUSAND else f"{value:.3g}"
    return f"{number} {unit}"


_THOUSAND = 1000  # from here on three digits are too few, and a separator helps
