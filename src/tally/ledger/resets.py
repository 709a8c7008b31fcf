"""Clearing the total, and giving back what was cleared."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
from sqlalchemy import ColumnElement, Select, and_, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.add import SumOutOfRange, digest
from tally.ledger.change import cause_of, change
from tally.ledger.database import Database, Unavailable
from tally.ledger.schema import MAX_ID, AmountType, reset, total

MAX_LISTED: Final = 1000

_RESET: Final = text("SELECT * FROM tally.reset_total(:key)").columns(sum=AmountType)
_NOW: Final = text("SELECT pg_catalog.clock_timestamp()")
_CONFIRM: Final = text("SELECT tally.confirm()")
_UNDO: Final = text("SELECT * FROM tally.undo_reset(:id)").columns(sum=AmountType)


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset, and what it cleared; its id is 0 where that was nothing, and no reset was made."""

    id: int
    sum: Amount
    count: int
    at: datetime
    undone_at: datetime | None = None
    undoable: bool = False


class NotUndoable(Exception):
    """The reset is not the newest one not yet undone, or its entries were purged."""


class Resets:
    """Resets under a role that may reset, undo, and nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reset(self, key: str | None = None) -> tuple[Reset, bool]:
        """Clear the total; return the reset and whether `key` had made it before.

        Without a key one is made up, so that a lost connection can't reset twice.
        """
        key_digest = uuid.UUID(digest(key)) if key is not None else uuid.uuid4()
        began: datetime | None = None
        tries = 0

        async def work(connection: AsyncConnection) -> tuple[Reset, bool]:
            nonlocal began, tries
            tries += 1
            began = began or (await connection.execute(_NOW)).scalar_one()
            row = await change(connection, _RESET, {"key": key_digest})
            reset_id, cleared, count, at, replayed = row
            # What an earlier try of this very call did, whose answer was lost, is no replay.
            theirs = replayed and (tries == 1 or at < began)
            return Reset(reset_id, cleared, count, at), theirs

        try:
            return await self._database.run(work, changes=True)
        except Unavailable as error:
            raise (error if key is None else error.under_key()) from error

    async def undo(self, reset_id: int) -> Reset:
        """Give back what the newest reset not yet undone cleared.

        Raises `NotUndoable` for any other, and `SumOutOfRange` where both together are too much.
        """
        if reset_id > MAX_ID:
            raise NotUndoable(f"there is no reset {reset_id}")
        tries = 0

        async def work(connection: AsyncConnection) -> Reset:
            nonlocal tries
            tries += 1
            return Reset(*await change(connection, _UNDO, {"id": reset_id}))

        try:
            return await self._database.run(work, changes=True)
        except DBAPIError as error:
            cause = cause_of(error)
            if isinstance(cause, asyncpg.CheckViolationError):
                raise SumOutOfRange from error
            if getattr(cause, "sqlstate", "") in ("TA001", "TA002"):
                # After a lost connection it may be that an earlier try of this very undo did it.
                known = await self._confirmed(reset.c.id == reset_id) if tries > 1 else None
                if known is not None and known.undone_at is not None:
                    return known
                raise NotUndoable(str(cause)) from error
            raise

    async def get(self, reset_id: int) -> Reset | None:
        return await self._read(reset.c.id == reset_id)

    async def made_under(self, key: str) -> Reset | None:
        """Read the reset that was made under a key; None if there is none so far."""
        return await self._confirmed(reset.c.key == uuid.UUID(digest(key)))

    async def _read(self, which: ColumnElement[bool]) -> Reset | None:

        async def work(connection: AsyncConnection) -> Reset | None:
            rows = await connection.execute(_query().where(which))
            row = rows.one_or_none()
            return None if row is None else Reset(*row)

        return await self._database.run(work)

    async def _confirmed(self, which: ColumnElement[bool]) -> Reset | None:
        """Read a reset, and wait until all that was written before is durable."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_CONFIRM)

        known = await self._read(which)
        await self._database.run(work, changes=True)
        return known

    async def past(self, before: int | None = None, limit: int = MAX_LISTED) -> list[Reset]:
        """Read resets with ids below `before`, newest first, at most `limit`."""

        async def work(connection: AsyncConnection) -> list[Reset]:
            query = _query().order_by(reset.c.id.desc()).limit(limit)
            if before is not None:
                query = query.where(reset.c.id < before)
            return [Reset(*row) for row in await connection.execute(query)]

        return await self._database.run(work)


def _query() -> Select[*tuple[int, Amount, int, datetime, datetime | None, bool]]:
    newest = select(func.max(reset.c.id)).where(reset.c.undone_at.is_(None)).scalar_subquery()
    purged = select(total.c.purged_through).scalar_subquery()
    undoable = and_(reset.c.id == newest, reset.c.cleared_from >= purged)
    return select(
        reset.c.id,
        reset.c.sum,
        reset.c["count"],
        reset.c.at,
        reset.c.undone_at,
        func.coalesce(undoable, False),
    )
