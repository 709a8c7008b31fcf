"""One PostgreSQL server: rows, log, sessions, and the standby that its commits wait for."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

from simulation.backend import Backend
from simulation.functions import Functions
from simulation.standby import Record, Standby
from simulation.state import TOTAL, Key, Total
from simulation.transaction import Locks

# Told of a session that reached a moment: `request`, `commit` or `answer`.
Reached = Callable[[Backend, str], None]
Trace = Callable[..., None]


class Server:
    """A primary whose log begins with `log`, all of which is visible and durable."""

    def __init__(
        self,
        functions: Functions,
        log: list[Record],
        delay: Callable[[], float],
        reached: Reached,
        trace: Trace,
    ) -> None:
        self.functions = functions
        self.log = log
        self.reached = reached
        self.trace = trace
        self.now = asyncio.get_running_loop().time
        self.standby = Standby(log, delay)
        self.locks = Locks()
        self.rows: dict[Key, Any] = {}
        self.backends: list[Backend] = []
        self.pids = itertools.count(1)
        self.stopped_until = 0.0
        self._recover()

    def append(self, writes: Record) -> asyncio.Future[None]:
        """Write a transaction's record; give what is done once the standby has it."""
        self.log.append(dict(writes))
        self.standby.ship()
        return self.standby.confirmation(len(self.log))

    def sessions(self) -> Counter[str]:
        """Count the sessions of each user, without those that no client can end for now."""
        return Counter(
            backend.user
            for backend in self.backends
            if not (backend.is_stopped() or backend.cut_off)
        )

    def crash(self) -> None:
        """End every session at once, whatever it does."""
        for backend in list(self.backends):
            if backend.busy is not None:
                backend.busy.cancel()
            backend.end()

    def restart(self) -> None:
        """Crash, and make visible all that is in the log: a standby need not have it."""
        self.crash()
        self.locks = Locks()
        self._recover()

    def _recover(self) -> None:
        self.rows.setdefault(TOTAL, Total())
        for record in self.log:
            self.rows.update(record)
