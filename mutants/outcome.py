"""What becomes of a mutant."""

from enum import Enum
from typing import NamedTuple

from mutants.mutant import Mutant


class Outcome(Enum):
    """A test that fails kills it, and so does one that takes far longer than it should."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"


class Trial(NamedTuple):
    """A mutant that was tried."""

    mutant: Mutant
    outcome: Outcome
    seconds: float
