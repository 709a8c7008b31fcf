"""A transaction: what it has written, and the rows that it keeps locked."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from simulation.state import Key

# Waits for a future, and raises whatever interrupts the wait.
Wait = Callable[[asyncio.Future[None]], Awaitable[None]]


class Locks:
    """Who has which row locked, and who waits for it, in order."""

    def __init__(self) -> None:
        self.owners: dict[Key, Transaction] = {}
        self.waiting: dict[Key, deque[asyncio.Future[None]]] = {}

    def release(self, key: Key) -> None:
        del self.owners[key]
        waiting = self.waiting.get(key, ())
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class Transaction:
    """Reads what is visible and what it wrote itself, as READ COMMITTED does."""

    def __init__(
        self, rows: dict[Key, Any], locks: Locks, now: Callable[[], float], wait: Wait
    ) -> None:
        self._rows = rows
        self._locks = locks
        self._wait = wait
        self._savepoints: list[tuple[dict[Key, Any], int]] = []
        self.now = now
        self.began = now()
        self.writes: dict[Key, Any] = {}
        self.locked: list[Key] = []
        self.confirms = False
        """Whether it wrote a record that changes nothing."""
        self.failed = False
        self.ended = False

    def read(self, key: Key) -> Any:
        found = self.writes.get(key)
        return self._rows.get(key) if found is None else found

    def write(self, key: Key, row: object) -> None:
        self.writes[key] = row

    async def lock(self, key: Key) -> None:
        """Wait until nobody else has the row locked; raise what interrupts the wait."""
        owners = self._locks.owners
        while (owner := owners.get(key)) is not self:
            if owner is None:
                owners[key] = self
                self.locked.append(key)
                return
            turn = asyncio.get_running_loop().create_future()
            self._locks.waiting.setdefault(key, deque()).append(turn)
            await self._wait(turn)

    def unlock(self, key: Key) -> None:
        """Release the row locked last: it turned out to be none to change."""
        if self.locked[-1] == key and key not in self.writes:
            self._release(len(self.locked) - 1)

    def save(self) -> None:
        """Begin a savepoint."""
        self._savepoints.append((dict(self.writes), len(self.locked)))

    def release_savepoint(self) -> None:
        self._savepoints.pop()

    def roll_back_to_savepoint(self) -> None:
        """Undo what came after the newest savepoint, and release what it locked."""
        self.writes, kept = self._savepoints[-1]
        self.writes = dict(self.writes)
        self._release(kept)
        self.failed = False

    def fail(self) -> None:
        """Undo what came after the newest savepoint; until that is gone back to, nothing runs."""
        self.failed = True
        self._release(self._savepoints[-1][1] if self._savepoints else 0)

    def end(self) -> None:
        """Release all locks: it was committed or rolled back."""
        self.ended = True
        self._release(0)

    def _release(self, kept: int) -> None:
        while len(self.locked) > kept:
            self._locks.release(self.locked.pop())
