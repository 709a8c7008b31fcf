"""How old what is read may be: nothing from the ledger itself, seconds from a standby.

A standby goes on replaying while a statement runs, which sees nothing of that. So its age is asked
for first, in a statement of its own, and what is read next is at least as new.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

BEHIND: Final = "CASE WHEN pg_is_in_recovery() THEN tally.behind_seconds() END"


class Age:
    """How old what is read after it may be."""

    def __init__(self, behind: float | None, asked: float) -> None:
        self._behind = behind
        self._asked = asked

    @property
    def seconds(self) -> float | None:
        """How many seconds a standby is behind its primary by now, at most; or None."""
        return None if self._behind is None else self._behind + time.monotonic() - self._asked


async def read_age(fetch: Callable[[str], Awaitable[float | None]]) -> Age:
    """Ask, by whatever fetches the value of a statement, outside of any transaction."""
    asked = time.monotonic()
    return Age(await fetch(f"SELECT {BEHIND}"), asked)
