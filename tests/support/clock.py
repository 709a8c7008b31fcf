"""A clock that a test moves on: for its loop, and for what reads the time itself."""

import asyncio
import time

import hypothesis
import pytest

# A busy machine takes any time for an example.
hypothesis.settings.register_profile(
    "tally", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tally")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        real = time.monotonic
        # An event loop's own time too is this function's.
        monkeypatch.setattr(time, "monotonic", lambda: real() + self._ahead)

    async def advance(self, seconds: float) -> None:
        """Let what was begun begin, move on, and let happen what comes due."""
        await self._let_run()
        self._ahead += seconds
        await self._let_run()

    async def _let_run(self) -> None:
        # Long enough for tasks of tasks, and for what comes of them over the loopback.
        for _ in range(20):
            await asyncio.sleep(0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
