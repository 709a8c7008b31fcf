"""What a checker says of a history."""

from dataclasses import dataclass
from typing import Final

# One broken promise can show in every entry after it.
SHOWN_PER_CHECKER: Final = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was not kept."""

    checker: str
    detail: str

    def __str__(self) -> str:
        return f"{self.checker}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one checker found, and how many facts it looked at."""

    checker: str
    promise: str
    facts: int
    details: tuple[str, ...]

    @property
    def findings(self) -> list[Finding]:
        """Name the first broken promises, and how many more there are."""
        shown = [Finding(self.checker, detail) for detail in self.details[:SHOWN_PER_CHECKER]]
        more = len(self.details) - len(shown)
        return [*shown, Finding(self.checker, f"... and {more} more")] if more else shown
