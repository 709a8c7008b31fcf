"""Undoing an entry: its opposite is added, once."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.add import SumOutOfRange
from tally.ledger.change import cause_of, change
from tally.ledger.database import Database
from tally.ledger.schema import MAX_ID, AmountType

_UNDO: Final = text("SELECT * FROM tally.undo_entry(:id)").columns(value=AmountType, sum=AmountType)
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
    replayed: bool = False


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
