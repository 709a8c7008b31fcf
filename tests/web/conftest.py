"""A loop whose time a test moves on."""

import asyncio

import pytest


class Clock:
    def __init__(self, loop):
        self._ahead = 0.0
        real = loop.time
        loop.time = lambda: real() + self._ahead

    async def advance(self, seconds):
        self._ahead += seconds
        # Long enough for what comes due, and for what comes of it over the loopback.
        for _ in range(20):
            await asyncio.sleep(0.001)


@pytest.fixture
async def clock():
    return Clock(asyncio.get_running_loop())
