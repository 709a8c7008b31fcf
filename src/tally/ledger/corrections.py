"""Undoing an entry: its opposite is added, once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.add import SumOutOfRange
from tally.ledger.change import cause_of, change
from tally.ledger.database import Database
from tally.ledger.schema import MAX_ID, AmountType

_T = TypeVar("_T")

_UNDO: Final = text("SELECT * FROM tally.undo_entry(:id)").columns(value=AmountType, sum=AmountType)
# In one statement, so all or none; from the last down, so that none of these opposites is meant.
_UNDO_ALL: Final = text(
    """SELECT (array_agg(u.sum ORDER BY u.id DESC))[1] AS sum
         FROM generate_series(CAST(:last AS bigint), CAST(:first AS bigint), -1) AS g (id)
        CROSS JOIN LATERAL tally.undo_entry(g.id) AS u"""
).columns(sum=AmountType)
# It keeps the total locked, a second for two thousand; who does so for two seconds is ended.
MAX_TOGETHER: Final = 1000
_REASONS: Final = MappingProxyType(
    {"TA003": "no-such-entry", "TA004": "entry-purged", "TA005": "entry-cleared"}
)


@dataclass(frozen=True, slots=True)
class Undone:
    """The entry that undid the entry `undoes`, and the total right after it."""

    id: int
    value: Amount
    sum: Amount
    count: int
    undoes: int
    replayed: bool


class EntryNotUndoable(Exception):
    """There is no such entry among the current ones; `rule` says where it is instead."""

    def __init__(self, reason: str, rule: str) -> None:
        super().__init__(reason)
        self.rule = rule


class Corrections:
    """Undoes entries under the adder's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def undo(self, entry_id: int) -> Undone:
        """Add the opposite of an entry, once however often this is called.

        Raises `EntryNotUndoable`, `SumOutOfRange` or `Unavailable`.
        """
        if entry_id > MAX_ID:
            raise EntryNotUndoable(f"there is no entry {entry_id}", "no-such-entry")

        async def work(connection: AsyncConnection) -> Undone:
            new_id, value, total, count, replayed = await change(
                connection, _UNDO, {"id": entry_id}
            )
            return Undone(new_id, value, total, count, entry_id, replayed)

        return await self._run(work)

    async def undo_all(self, first: int, last: int) -> Amount:
        """Undo entries, at most `MAX_TOGETHER`, as `undo` does, all or none.

        Gives the total right after the newest opposite of them.
        """

        async def work(connection: AsyncConnection) -> Amount:
            (total,) = await change(connection, _UNDO_ALL, {"first": first, "last": last})
            return Amount(total)

        return await self._run(work)

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[_T]]) -> _T:
        try:
            return await self._database.run(work, changes=True)
        except DBAPIError as error:
            cause = cause_of(error)
            if isinstance(cause, asyncpg.CheckViolationError):
                raise SumOutOfRange from error
            rule = _REASONS.get(getattr(cause, "sqlstate", ""))
            if rule is None:
                raise
            raise EntryNotUndoable(str(cause), rule) from error
