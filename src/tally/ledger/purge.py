"""The purge: really delete what was cleared long ago.

Cleared entries stay in the database, and an undo of their reset gives them back, for as long as
the reset is younger than the age that is purged. Answers and resets are never purged: a key gets
its first answer for ever, and the list of past resets stays whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.ledger.database import Database
from tally.ledger.history import SIZES
from tally.ledger.schema import entry, reset, total

# Stretches of which a part is gone; of larger ones the other parts stay.
_FORGET: Final = text(
    "DELETE FROM tally.stretch AS s USING unnest(CAST(:sizes AS bigint[])) AS z (size)"
    " WHERE s.size = z.size AND s.last_id < :through + z.size"
).bindparams(sizes=list(SIZES))
# Ids deleted by one transaction. Adds wait for its end: a few hundredths of a second.
STEP: Final = 10_000


@dataclass(frozen=True, slots=True)
class Purged:
    """How many entries are gone for good, and the last id of all that ever were purged."""

    entries: int
    through: int


async def purge(
    database: Database,
    older_than: timedelta,
    progress: Callable[[int, int], None] = lambda purged, to_purge: None,
) -> Purged:
    """Delete the entries that were cleared by resets made longer ago than `older_than`.

    Oldest first, in small transactions, each of which leaves a ledger that audits clean: it may
    be killed at any moment and run again. Needs the owner's privileges. `progress` gets the numbers
    of entries purged and to purge. Raises `Unavailable`.
    """
    began = await database.run(_now)
    start, end = await database.run(lambda connection: _bounds(connection, began, older_than))
    through = start
    while through < end:
        through, end = await database.run(
            lambda connection: _step(connection, began, older_than), changes=True
        )
        progress(through - start, max(end, through) - start)
    return Purged(through - start, through)


async def _now(connection: AsyncConnection) -> datetime:
    """Read PostgreSQL's clock, which dates resets."""
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def _bounds(
    connection: AsyncConnection, now: datetime, older_than: timedelta
) -> tuple[int, int]:
    """Lock the ledger; return the id purged through, and the one that may be purged through.

    The latter is where the first reset that is too young begins, so it holds even where a clock
    was set back between two resets.
    """
    purged, cleared = (
        await connection.execute(
            select(total.c.purged_through, total.c.cleared_through).with_for_update()
        )
    ).one()
    # An age is compared, and not a moment, because the moment may be before the calendar begins.
    young = select(func.min(reset.c.cleared_from)).where(
        reset.c.undone_at.is_(None), now - reset.c.at < older_than
    )
    first_young = await connection.scalar(young)
    return purged, cleared if first_young is None else first_young


async def _step(
    connection: AsyncConnection, now: datetime, older_than: timedelta
) -> tuple[int, int]:
    """Purge some entries; return the id purged through, and the one to purge through."""
    # Asked each time: an undo may have given entries back since the step before.
    purged, end = await _bounds(connection, now, older_than)
    through = min(purged + STEP, end)
    if through <= purged:
        return purged, end
    sum_after = select(entry.c.sum_after).where(entry.c.id == through).scalar_subquery()
    await connection.execute(update(total).values(purged_through=through, purged_sum=sum_after))
    await connection.execute(delete(entry).where(entry.c.id > purged, entry.c.id <= through))
    await connection.execute(_FORGET, {"through": through})
    return through, end
