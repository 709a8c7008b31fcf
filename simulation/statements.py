"""The statements that Tally's services send, by what is in their text, and what each does."""

import re
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from simulation.functions import Row
from simulation.rows import TOTAL
from simulation.transaction import Transaction

if TYPE_CHECKING:
    from simulation.backend import Backend

# How long a session may keep the total before those who wait may end it.
_MAY_HOLD: Final = 2.0
_CALL: Final = re.compile(r"tally\.(\w+)\(")
_LOCK_TIMEOUT: Final = re.compile(r"^SET (?:LOCAL )?lock_timeout = '(\d+)s'")


class Statement(NamedTuple):
    """`ends`: it may run in a transaction that has failed, for it ends it."""

    run: Callable[..., Awaitable[list[Row]]]
    ends: bool = False


async def nothing(backend: "Backend", tx: Transaction, *arguments: Any) -> list[Row]:  # noqa: ANN401
    return []


async def terminate(backend: "Backend", tx: Transaction, names: list[str]) -> list[Row]:
    """pg_terminate_backend for sessions of one's own role that have these names."""
    for other in list(backend.server.backends):
        if other.user == backend.user and other.name in names:
            other.terminate()
    return []


async def free_total(backend: "Backend", tx: Transaction) -> list[Row]:
    """End the sessions of services that keep the total, and neither wait for it nor for a standby."""
    ended = 0
    for other in list(backend.server.backends):
        if (
            other is not backend
            and other.user != "owner"
            and other.transaction is not None
            and other.transaction.began < backend.server.now() - _MAY_HOLD
            and other.waits_for is None
            and TOTAL in other.transaction.locked
        ):
            other.terminate()
            ended += 1
    return [{"free_total": ended}]


async def begin(backend: "Backend", tx: Transaction) -> list[Row]:
    backend.begin()
    return []


async def commit(backend: "Backend", tx: Transaction) -> list[Row]:
    await backend.commit(tx)
    return []


async def roll_back(backend: "Backend", tx: Transaction) -> list[Row]:
    backend.roll_back()
    return []


async def save(backend: "Backend", tx: Transaction) -> list[Row]:
    tx.save()
    return []


async def release_savepoint(backend: "Backend", tx: Transaction) -> list[Row]:
    tx.release_savepoint()
    return []


async def roll_back_to_savepoint(backend: "Backend", tx: Transaction) -> list[Row]:
    tx.roll_back_to_savepoint()
    return []


def _function(name: str) -> Callable[..., Awaitable[list[Row]]]:
    async def run(backend: "Backend", tx: Transaction, *arguments: Any) -> list[Row]:  # noqa: ANN401
        rows: list[Row] = await getattr(backend.server.functions, name)(tx, *arguments)
        return rows

    return run


@cache
def statement_of(query: str) -> Statement:
    """Find what a statement does. Raises `LookupError` for one that the model does not know."""
    if (called := _CALL.search(query)) is not None:
        return Statement(free_total if called[1] == "free_total" else _function(called[1]))
    if (limit := _LOCK_TIMEOUT.match(query)) is not None:
        return Statement(_limit_locks(float(limit[1])))
    for text, statement in _OTHERS.items():
        if text in query:
            return statement
    raise LookupError(f"the model of the database does not know: {query}")


def _limit_locks(seconds: float) -> Callable[..., Awaitable[list[Row]]]:
    async def run(backend: "Backend", tx: Transaction) -> list[Row]:
        backend.lock_timeout = seconds
        return []

    return run


_OTHERS: Final = {
    "BEGIN": Statement(begin),
    "COMMIT": Statement(commit, ends=True),
    "RELEASE SAVEPOINT": Statement(release_savepoint),
    "ROLLBACK TO": Statement(roll_back_to_savepoint, ends=True),
    "ROLLBACK": Statement(roll_back, ends=True),
    "SAVEPOINT": Statement(save),
    "set_config(": Statement(nothing),
    "pg_terminate_backend(": Statement(terminate),
}
