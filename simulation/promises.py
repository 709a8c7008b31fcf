"""What must hold at every moment, as the model sees it; `faults.checkers` check the history."""

from typing import TYPE_CHECKING, Final

from faults.history import Attempt
from faults.timeline import amount
from simulation.adder import REQUEST_TIMEOUT
from simulation.state import Entry, Reset
from tally.ledger.database import GRACE

if TYPE_CHECKING:
    from simulation.world import World

# A writer's connection, and one more while it is replaced.
MOST_SESSIONS: Final = 2
# A pool's, and one more likewise; one operator needs one at a time.
MOST_POOLED: Final = 3
# The writer looks for those that waited too long ten times a second, and lets a try go on for a
# while that began in time.
_LONGEST: Final = REQUEST_TIMEOUT + GRACE + 0.11
_OK: Final = 200
_CREATED: Final = 201


class Broken(AssertionError):
    """A promise was not kept."""


class NotDurable(Broken):
    """An add was acknowledged before any failover would keep it."""


class TooLate(Broken):
    """A request was answered later than its time."""


class TooManySessions(Broken):
    """An adder held more sessions of the server than it may."""


class NotServed(Broken):
    """An adder does not serve although nothing is wrong any more."""


class NotTogether(Broken):
    """Adds that wait together do not share a commit."""


class InternalError(Broken):
    """A client was answered with an internal error."""


class BatchSkipped(Broken):
    """The database took a batch of a writer that was not its next."""


class Misled(Broken):
    """A checker found that clients were told what the ledger does not hold."""


class Promises:
    """Looks at each answer as it is given."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def check_answer(self, attempt: Attempt) -> None:
        took = attempt.ended - attempt.sent
        if took > _LONGEST:
            self._world.fail(TooLate(f"{attempt.values} was answered after {took:.3f} s"))
        if attempt.status == _CREATED and attempt.ended >= self._world.cluster.restored_at:
            self._check_durable(attempt)

    def _check_durable(self, attempt: Attempt) -> None:
        answer = attempt.answer
        last = answer["last_id"] if attempt.batch else answer["id"]
        ids = range(last - len(attempt.values) + 1, last + 1)
        for entry_id, value in zip(ids, attempt.values, strict=True):
            entry: Entry | None = self._world.cluster.durable(("entry", entry_id))
            if entry is None or entry.value != amount(value):
                self._world.fail(
                    NotDurable(f"{attempt.values} was answered {answer}, but {entry_id} is {entry}")
                )

    def check_reset(self, attempt: Attempt) -> None:
        """The same for a reset and its undo."""
        took = attempt.ended - attempt.sent
        if took > _LONGEST:
            self._world.fail(TooLate(f"a {attempt.kind} was answered after {took:.3f} s"))
        told = attempt.answer
        if attempt.status not in (_OK, _CREATED) or told["id"] == 0:
            return
        row: Reset | None = self._world.cluster.durable(("reset", told["id"]))
        if row is None or (row.undone_at is None and attempt.kind == "undo"):
            self._world.fail(NotDurable(f"{attempt.kind} was answered {told}, but it is {row}"))

    def check_sessions(self) -> None:
        for user, most in self._world.cluster.most_sessions.items():
            if most > (MOST_SESSIONS if user.startswith("adder") else MOST_POOLED):
                self._world.fail(TooManySessions(f"{user} held {most} sessions at once"))

    def check_batches(self) -> None:
        """The batches of each writer have numbers without a gap."""
        newest: dict[str, int] = {}
        for record in self._world.cluster.leader.log:
            for (table, name), row in record.items():
                if table == "writer":
                    if row.batch not in (0, newest.get(name, 0) + 1):
                        self._world.fail(
                            BatchSkipped(f"{row.batch} after {newest.get(name)} of {name}")
                        )
                    newest[name] = row.batch
