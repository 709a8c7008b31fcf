"""The synchronous standby: what it has received is durable, and nothing else is."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from simulation.state import Key

Record = dict[Key, Any]


class Standby:
    """Receives the log of its primary, and says how far it has come."""

    def __init__(self, log: Sequence[Record], delay: Callable[[], float]) -> None:
        self._log = log
        self._delay = delay
        self._flows = True
        self.rows: dict[Key, Any] = {}
        self.received = 0
        self._confirmed = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._receive(len(log))

    def ship(self) -> None:
        """Send all that the log has by now."""
        if self._flows:
            self._later(self._receive, len(self._log))

    def stall(self) -> None:
        """Let nothing through any more, in neither direction."""
        self._flows = False

    def go_on(self) -> None:
        self._flows = True
        self.ship()

    def confirmation(self, position: int) -> asyncio.Future[None]:
        """Give what is done once the standby is known to have the log up to a position."""
        future = asyncio.get_running_loop().create_future()
        if position <= self._confirmed:
            future.set_result(None)
        else:
            self._waiting.append((position, future))
        return future

    def _receive(self, position: int) -> None:
        if not self._flows:
            return
        for record in self._log[self.received : position]:
            self.rows.update(record)
        self.received = max(self.received, position)
        self._later(self._confirm, self.received)

    def _confirm(self, position: int) -> None:
        if not self._flows:
            return
        self._confirmed = max(self._confirmed, position)
        for wanted, future in self._waiting:
            if wanted <= self._confirmed and not future.done():
                future.set_result(None)
        self._waiting = [one for one in self._waiting if not one[1].done()]

    def _later(self, step: Callable[[int], None], position: int) -> None:
        asyncio.get_running_loop().call_later(self._delay(), step, position)
