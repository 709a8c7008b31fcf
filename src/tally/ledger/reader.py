"""Reading the ledger: the total, entries in pages, and history."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import BigInteger, Float, any_, literal, literal_column, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.database import Database
from tally.ledger.schema import correction, entry, total
from tally.ledger.single_flight import SingleFlight

NEWEST: Final = 20
# Enough for a picture a person looks at; few enough that it costs the same at any size.
POINTS: Final = 200


@dataclass(frozen=True, slots=True)
class Total:
    """The sum and count of the current entries, up to the entry `last_id`.

    `behind` is how many seconds a standby may be behind its primary, at most; None where the
    ledger itself was read.
    """

    sum: Amount
    count: int
    last_id: int
    behind: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One value, and the total right after it.

    `undoes` is the entry of which it is the opposite, and `undone_by` the one that is its own.
    """

    id: int
    value: Amount
    sum_after: Amount
    added_at: datetime
    undoes: int | None = None
    undone_by: int | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the display's page shows, all of one moment.

    `history` has at most `POINTS` entries, oldest first, spread evenly over the current ones.
    """

    total: Total
    newest: list[Entry]
    history: list[Entry]
    at: datetime


class Reader:
    """Reads under a role that may read and nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.total = SingleFlight(lambda: database.run(read_total, one_statement=True))

    async def overview(self) -> Overview:
        return await self._database.run(_read_overview)

    async def entries(self, before: int | None, limit: int) -> list[Entry]:
        """Read current entries with ids below `before`, newest first, at most `limit`."""
        return await self._database.run(
            lambda connection: _read_entries(connection, before, limit), one_statement=True
        )


# A standby that has replayed all it received is not behind, while its receiver runs: any role may
# see that it does, and nothing else of it. Without, it is as old as the last commit it replayed.
_BEHIND: Final = """
    CASE WHEN NOT pg_is_in_recovery() THEN NULL
         WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
              AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL) THEN 0
         ELSE greatest(0, extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()))
    END::float8
"""
_TOTAL: Final = select(
    total.c.sum, total.c["count"], total.c.last_id, literal_column(_BEHIND, Float)
)


async def read_total(connection: AsyncConnection) -> Total:
    """Read the total."""
    return Total(*(await connection.execute(_TOTAL)).one())


_undoing, _undone = correction.alias("undoing"), correction.alias("undone")
_ENTRIES: Final = (
    select(
        entry.c.id,
        entry.c.value,
        entry.c.sum_after,
        entry.c.added_at,
        _undoing.c.entry_id.label("undoes"),
        _undone.c.undone_by,
    )
    .outerjoin(_undoing, _undoing.c.undone_by == entry.c.id)
    .outerjoin(_undone, _undone.c.entry_id == entry.c.id)
)


async def _read_entries(connection: AsyncConnection, before: int | None, limit: int) -> list[Entry]:
    cleared_through = select(total.c.cleared_through).scalar_subquery()
    query = _ENTRIES.where(entry.c.id > cleared_through)
    if before is not None:
        query = query.where(entry.c.id < before)
    rows = await connection.execute(query.order_by(entry.c.id.desc()).limit(limit))
    return [Entry(*row) for row in rows]


async def _read_overview(connection: AsyncConnection) -> Overview:
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    now = await read_total(connection)
    newest = await _read_entries(connection, None, NEWEST)
    sampled = _spread(now.last_id - now.count + 1, now.last_id, POINTS)
    rows = await connection.execute(
        # One array, where IN would be a statement with a parameter for each id.
        _ENTRIES.where(entry.c.id == any_(literal(sampled, ARRAY(BigInteger)))).order_by(entry.c.id)
    )
    return Overview(now, newest, [Entry(*row) for row in rows], datetime.now(UTC))


def _spread(first: int, last: int, most: int) -> list[int]:
    """Choose at most `most` ids from first to last, both included, evenly spread."""
    steps = min(most, last - first + 1) - 1
    if steps < 1:
        return [last] if steps == 0 else []
    return [first + (last - first) * step // steps for step in range(steps + 1)]
