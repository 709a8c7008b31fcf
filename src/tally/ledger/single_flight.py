"""Single flight: many who ask at once share one run of the work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Shares one run of `work` among all who ask while the run before it is under way.

    Nobody gets an answer that was begun before they asked, so reads never lag behind an add that
    was acknowledged before them.
    """

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._waiting: list[Callable[[T | Exception], None]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> T:
        """Wait for the next run that begins, and return its answer or raise its error."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def finish(outcome: T | Exception) -> None:
            if future.done():  # whoever waited has gone away
                return
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.submit(finish)
        return await future

    def submit(self, finish: Callable[[T | Exception], None]) -> None:
        """Have `finish` called with the answer or the error of the next run that begins."""
        self._waiting.append(finish)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            sharers, self._waiting = self._waiting, []
            outcome: T | Exception
            try:
                outcome = await self._work()
            except Exception as error:
                outcome = error
            # In the loop's next turn: the next run has begun before these answers are written.
            asyncio.get_running_loop().call_soon(_finish_all, sharers, outcome)
        self._task = None


def _finish_all(sharers: list[Callable[[T | Exception], None]], outcome: T | Exception) -> None:
    for finish in sharers:
        finish(outcome)
