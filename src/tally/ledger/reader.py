"""Reading the ledger: the total, entries in pages, and history."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import BigInteger, Float, Row, any_, literal, literal_column, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.database import Database
from tally.ledger.schema import entry, total
from tally.ledger.single_flight import SingleFlight

NEWEST: Final = 20
# Enough for a picture a person looks at; few enough that it costs the same at any size.
POINTS: Final = 200
_MAY_READ_ENTRIES: Final = "SELECT has_table_privilege('tally.entry', 'SELECT')"


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
    """One value, and the total right after it."""

    id: int
    value: Amount
    sum_after: Amount
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; `behind` as a total's."""

    entries: list[Entry]
    behind: float | None


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

    async def page(self, before: int | None, limit: int) -> Page:
        """Read current entries with ids below `before`, newest first, at most `limit`."""
        return await self._database.run(
            lambda connection: _read_page(connection, before, limit), one_statement=True
        )

    async def added_at(self, entry_id: int) -> datetime | None:
        """Tell when an entry was added, cleared or not.

        None where it was purged, or where the role may not read entries.
        """

        async def work(connection: AsyncConnection) -> datetime | None:
            if not await connection.scalar(text(_MAY_READ_ENTRIES)):
                return None
            return await connection.scalar(select(entry.c.added_at).where(entry.c.id == entry_id))

        return await self._database.run(work)


BEHIND: Final = "CASE WHEN pg_is_in_recovery() THEN tally.behind_seconds() END"
_TOTAL: Final = select(
    total.c.sum, total.c["count"], total.c.last_id, literal_column(BEHIND, Float)
)


async def read_total(connection: AsyncConnection) -> Total:
    """Read the total."""
    return Total(*(await connection.execute(_TOTAL)).one())


async def _read_page(connection: AsyncConnection, before: int | None, limit: int) -> Page:
    cleared_through = select(total.c.cleared_through).scalar_subquery()
    query = select(entry).where(entry.c.id > cleared_through)
    if before is not None:
        query = query.where(entry.c.id < before)
    page = query.order_by(entry.c.id.desc()).limit(limit).subquery()
    # A row even where there is no entry.
    age = select(literal_column(BEHIND, Float).label("behind")).subquery()
    both = select(age, page).select_from(age.outerjoin(page, true()))
    found = (await connection.execute(both.order_by(page.c.id.desc()))).all()
    return Page([_entry(row) for row in found if row.id is not None], found[0].behind)


async def _read_overview(connection: AsyncConnection) -> Overview:
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    now = await read_total(connection)
    newest = await _read_page(connection, None, NEWEST)
    sampled = _spread(now.last_id - now.count + 1, now.last_id, POINTS)
    rows = await connection.execute(
        # One array, where IN would be a statement with a parameter for each id.
        select(entry)
        .where(entry.c.id == any_(literal(sampled, ARRAY(BigInteger))))
        .order_by(entry.c.id)
    )
    return Overview(now, newest.entries, [_entry(row) for row in rows], datetime.now(UTC))


def _spread(first: int, last: int, most: int) -> list[int]:
    """Choose at most `most` ids from first to last, both included, evenly spread."""
    steps = min(most, last - first + 1) - 1
    if steps < 1:
        return [last] if steps == 0 else []
    return [first + (last - first) * step // steps for step in range(steps + 1)]


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(row.id, row.value, row.sum_after, row.added_at)
