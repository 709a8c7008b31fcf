"""An operator: resets the total with a key, repeats what got no answer, and undoes it."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from faults.history import Attempt
from simulation.client import CREATED, UNAVAILABLE
from tally import representation
from tally.ledger.add import SumOutOfRange
from tally.ledger.database import Database, Unavailable
from tally.ledger.resets import NotUndoable, Reset, Resets

if TYPE_CHECKING:
    from simulation.schedule import Order
    from simulation.world import World

SERVICE: Final = "reset-1"
OK: Final = 200
_CONFLICT: Final = 409
_REFUSED: Final = 422
_PAUSE: Final = 0.3


class Operator:
    """Works with the ledger's `Resets`, as the reset service does."""

    def __init__(self, world: "World", number: int, order: "Order", timeout: float) -> None:
        self.order = order
        self.attempts: list[Attempt] = []
        self._world = world
        self._number = number
        self._database = Database(f"postgresql://{SERVICE}-{number}@database/", timeout=timeout)
        self._resets = Resets(self._database)

    async def run(self) -> None:
        """Reset, and undo that, until each has an answer that is final."""
        key = f"reset-{self._number}"
        while (made := await self._reset(key)) is None:
            await asyncio.sleep(_PAUSE)
        if self.order.undo and made.id:
            while await self._undo(made.id) == UNAVAILABLE:
                await asyncio.sleep(_PAUSE)
        await self._database.close()

    async def _reset(self, key: str) -> Reset | None:
        noted = self._sent("reset", key=key)
        try:
            made, replayed = await self._resets.reset(key)
        except Unavailable as error:
            self._refused(noted, UNAVAILABLE, error)
            return None
        self._answered(noted, CREATED, made, replayed=replayed)
        return made

    async def _undo(self, number: int) -> int:
        noted = self._sent("undo", values=(str(number),))
        try:
            undone = await self._resets.undo(number)
        except Unavailable as error:
            return self._refused(noted, UNAVAILABLE, error)
        except NotUndoable as error:
            return self._refused(noted, _CONFLICT, error)
        except SumOutOfRange as error:
            return self._refused(noted, _REFUSED, error)
        self._answered(noted, OK, undone, replayed=False)
        return OK

    def _sent(self, kind: str, **more: Any) -> dict[str, Any]:
        self._world.trace(SERVICE, kind, more)
        now = self._world.now()
        return {"client": -self._number, "kind": kind, "service": SERVICE, "sent": now, **more}

    def _answered(self, noted: dict[str, Any], status: int, made: Reset, *, replayed: bool) -> None:
        answer = representation.in_json(representation.reset(made))
        self._note(Attempt(**noted, ended=0, status=status, answer=answer, replayed=replayed))

    def _refused(self, noted: dict[str, Any], status: int, error: Exception) -> int:
        known = getattr(error, "outcome_known", True) and not getattr(error, "keyed", False)
        answer = {"outcome": "not stored" if known else "unknown"}
        self._note(Attempt(**noted, ended=0, status=status, answer=answer))
        return status

    def _note(self, attempt: Attempt) -> None:
        attempt = self._world.at_its_end(attempt)
        self.attempts.append(attempt)
        self._world.trace(SERVICE, "answered", attempt.status, attempt.answer)
        self._world.promises.check_reset(attempt)
