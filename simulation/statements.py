"""The statements that Tally's services send, by what is in their text, and what each does."""

import re
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from simulation.functions import Row, moment, reset_row
from simulation.state import TOTAL
from simulation.transaction import Transaction

if TYPE_CHECKING:
    from simulation.backend import Backend

# The columns of what has any, for who asks before there are rows.
_COLUMNS: Final = {
    "reset_total": ("id", "sum", "count", "at", "replayed"),
    "undo_reset": ("id", "sum", "count", "at", "undone_at"),
    "confirm": ("confirm",),
    "free_total": ("free_total",),
}
_RESET: Final = ("id", "sum", "count", "at", "undone_at", "undoable")
# What SQLAlchemy asks of each server once.
_SETTINGS: Final = {
    "pg_catalog.version()": "PostgreSQL 18.0",
    "current_schema()": "public",
    "transaction isolation level": "read committed",
    "standard_conforming_strings": "on",
    "SELECT 1": 1,
}
_CLOCK: Final = "clock_timestamp()"
# How long a session may keep the total before those who wait may end it.
_MAY_HOLD: Final = 2.0
_CALL: Final = re.compile(r"tally\.(\w+)\(")
_LOCK_TIMEOUT: Final = re.compile(r"^SET (?:LOCAL )?lock_timeout = '(\d+)(m?s)'")


class Statement(NamedTuple):
    """`ends`: it may run in a transaction that has failed, for it ends it."""

    run: Callable[..., Awaitable[list[Row]]]
    ends: bool = False


async def pin(
    backend: "Backend", tx: Transaction, names: list[str], values: list[str]
) -> list[Row]:
    """Set settings, of which the model knows one that changes what sessions do."""
    interval = dict(zip(names, values, strict=True)).get("client_connection_check_interval")
    backend.looks_for_client = interval is not None
    return []


async def terminate(
    backend: "Backend", tx: Transaction, pattern: str, spared: list[str]
) -> list[Row]:
    """pg_terminate_backend for sessions of one's own role whose names begin so, but for some."""
    for other in list(backend.server.backends):
        if (
            other.user == backend.user
            and other.name.startswith(pattern.removesuffix("%"))
            and other.name not in spared
        ):
            other.terminate()
    return []


async def tell_pid(backend: "Backend", tx: Transaction) -> list[Row]:
    return [{"value": backend.pid}]


async def free_total(backend: "Backend", tx: Transaction) -> list[Row]:
    """End the sessions of services that keep the total and wait for neither it nor a standby."""
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


async def read_reset(backend: "Backend", tx: Transaction, *arguments: Any) -> list[Row]:
    number = arguments[-1]
    made = tx.read(("reset", number))
    if made is None:
        return []
    row = reset_row(number, made)
    return [row | {"undone_at": moment(made.undone_at), "undoable": False}]


async def tell_time(backend: "Backend", tx: Transaction) -> list[Row]:
    return [{"value": moment(backend.server.now())}]


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
    async def run(backend: "Backend", tx: Transaction, *arguments: Any) -> list[Row]:
        rows: list[Row] = await getattr(backend.server.functions, name)(tx, *arguments)
        return rows

    return run


@cache
def statement_of(query: str) -> Statement:
    """Find what a statement does. Raises `LookupError` for one that the model does not know."""
    if (called := _CALL.search(query)) is not None:
        return Statement(free_total if called[1] == "free_total" else _function(called[1]))
    if (limit := _LOCK_TIMEOUT.match(query)) is not None:
        unit = 0.001 if limit[2] == "ms" else 1.0
        return Statement(_limit_locks(float(limit[1]) * unit))
    for text, statement in _OTHERS.items():
        if text in query:
            return statement
    for text, value in _SETTINGS.items():
        if text in query:
            return Statement(_setting(value))
    raise LookupError(f"the model of the database does not know: {query}")


def columns_of(query: str) -> tuple[str, ...]:
    """Name the columns of what a statement returns."""
    if (called := _CALL.search(query)) is not None:
        return _COLUMNS[called[1]]
    if "FROM tally.reset" in query:
        return _RESET
    return ("value",) if any(text in query for text in (*_SETTINGS, _CLOCK)) else ()


def _setting(value: object) -> Callable[..., Awaitable[list[Row]]]:
    async def run(backend: "Backend", tx: Transaction, *arguments: Any) -> list[Row]:
        return [{"value": value}]

    return run


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
    "set_config(": Statement(pin),
    "pg_backend_pid()": Statement(tell_pid),
    "pg_terminate_backend(": Statement(terminate),
    "FROM tally.reset": Statement(read_reset),
    _CLOCK: Statement(tell_time),
}
