"""What the last run of each file came to: scores.json, written by runs."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mutants.outcome import Outcome, Trial

FILE: Final = Path(__file__).parent / "scores.json"


@dataclass
class Score:
    """How many mutants came to what, and the seconds of one worker that they took."""

    killed: int = 0
    timed_out: int = 0
    survived: int = 0
    seconds: float = 0

    @property
    def mutants(self) -> int:
        return self.killed + self.timed_out + self.survived

    @property
    def share(self) -> str:
        """Of the mutants, those that were killed."""
        return f"{100 - 100 * self.survived / self.mutants:.1f} %" if self.mutants else "none"

    def add(self, trial: Trial) -> None:
        self.killed += trial.outcome is Outcome.KILLED
        self.timed_out += trial.outcome is Outcome.TIMED_OUT
        self.survived += trial.outcome is Outcome.SURVIVED
        self.seconds = round(self.seconds + trial.seconds, 1)


def together(scores: Iterable[Score]) -> Score:
    """Give the score of several files."""
    return Score(*map(sum, zip(*(asdict(it).values() for it in scores), strict=True)))


def read(file: Path = FILE) -> dict[str, Score]:
    """Give the scores by file."""
    return {name: Score(**score) for name, score in json.loads(file.read_text()).items()}


def write(scores: dict[str, Score], file: Path = FILE) -> None:
    """Write them in the order of the files."""
    text = json.dumps({name: asdict(scores[name]) for name in sorted(scores)}, indent=1)
    file.write_text(f"{text}\n")
