"""Reading the ledger: the total, entries in pages, the list, and history."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Float, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.age import BEHIND, Age, read_age
from tally.ledger.database import Database
from tally.ledger.history import (
    LONG_AGO,
    History,
    Point,
    read_bounds,
    read_history,
    read_step,
)
from tally.ledger.listing import (
    ENTRIES,
    Entry,
    Move,
    Rows,
    read_last_reset,
    read_moves,
    read_rows,
)
from tally.ledger.recent import SPANS, Recent
from tally.ledger.schema import entry, total
from tally.ledger.single_flight import SingleFlight

# Resets and undos that a picture marks.
MARKS: Final = 64
# Entries of a page of the list.
LISTED: Final = 20
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

    @property
    def cleared_through(self) -> int:
        """The last of the entries that are cleared."""
        return self.last_id - self.count


@dataclass(frozen=True, slots=True)
class Range:
    """What to read of history: one of `SPANS` until now, or from one time to another."""

    span: str = "all"
    since: datetime | None = None
    until: datetime | None = None


NO_RANGE: Final = Range()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of the list begins: below an entry, around one, or at a time.

    Or at the top, which is the newest entry of the range.
    """

    before: int | None = None
    around: int | None = None
    at: datetime | None = None


TOP: Final = Position()


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; `behind` as a total's."""

    entries: list[Entry]
    behind: float | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Entries: those after one id, through another; `behind` as a total's."""

    after: int
    through: int
    behind: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the display's page shows, all of one moment.

    `moves` are the newest resets and undos in the history. `asked` is the last step until the time
    that the place asked for.
    """

    total: Total
    history: History
    moves: Sequence[Move]
    rows: Rows
    last_reset: Move | None
    asked: Point | None
    at: datetime


class Reader:
    """Reads under a role that may read and nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.total = SingleFlight(lambda: database.run(read_total, autocommit=True))
        self._recent = {name: (Recent(span), asyncio.Lock()) for name, span in SPANS.items()}

    async def overview(
        self, wanted: Range = NO_RANGE, place: Position = TOP, limit: int = LISTED
    ) -> Overview:
        """Read what the page shows; `limit` is in entries."""

        async def work(connection: AsyncConnection) -> Overview:
            async with _of_one_moment(connection) as now:
                return await self._overview(connection, now, wanted, place, limit)

        return await self._database.run(work, autocommit=True)

    async def history(self, wanted: Range) -> tuple[Total, History, list[Move]]:
        """Read the total, a history, and the newest resets and undos in it."""

        async def work(connection: AsyncConnection) -> tuple[Total, History, list[Move]]:
            async with _of_one_moment(connection) as now:
                history = await self._history(connection, wanted, datetime.now(UTC))
                return now, history, await _moves_of(connection, history)

        return await self._database.run(work, autocommit=True)

    async def changes(self, before: int | None, limit: int) -> tuple[Total, Rows]:
        """Read the total, and the list below an entry or from its top."""

        async def work(connection: AsyncConnection) -> tuple[Total, Rows]:
            async with _of_one_moment(connection) as now:
                return now, await read_rows(connection, _through(now, before), limit)

        return await self._database.run(work, autocommit=True)

    async def page(
        self,
        before: int | None,
        limit: int,
        after: int | None = None,
        wanted: Range = NO_RANGE,
    ) -> Page:
        """Read entries, newest first: those below `before`, or right above `after`.

        The current ones, or where a range of time is wanted all of that.
        """

        async def work(connection: AsyncConnection) -> Page:
            if wanted == NO_RANGE:
                age = await _read_age(connection)
                found = await _read_page(connection, None, (after, before), limit)
                return Page(found, age.seconds)
            async with _of_one_moment(connection) as now:
                bounds = await read_bounds(connection, *_times_of(wanted))
                found = await _read_page(connection, bounds, (after, before), limit)
                return Page(found, now.behind)

        return await self._database.run(work, autocommit=True)

    async def bounds(self, wanted: Range) -> Bounds:
        """Read which entries are of a range of time."""

        async def work(connection: AsyncConnection) -> Bounds:
            async with _of_one_moment(connection) as now:
                return Bounds(*await read_bounds(connection, *_times_of(wanted)), now.behind)

        return await self._database.run(work, autocommit=True)

    async def added_at(self, entry_id: int) -> datetime | None:
        """Tell when an entry was added, cleared or not.

        None where it was purged, or where the role may not read entries.
        """

        async def work(connection: AsyncConnection) -> datetime | None:
            if not await connection.scalar(text(_MAY_READ_ENTRIES)):
                return None
            return await connection.scalar(select(entry.c.added_at).where(entry.c.id == entry_id))

        return await self._database.run(work)

    async def _overview(
        self, connection: AsyncConnection, now: Total, wanted: Range, place: Position, limit: int
    ) -> Overview:
        at = datetime.now(UTC)
        history = await self._history(connection, wanted, at)
        asked, through = None, _through(now, place.before)
        if place.at is not None:
            asked = await read_step(connection, place.at)
            through = asked.id if asked else 0
        elif place.around is not None:
            through = min(now.last_id, place.around + limit // 2)
        elif place == TOP and wanted.until is not None:
            # The newest of a range is its own: it may have passed.
            last = history.points[-1] if history.points else history.start
            through = last.id if last else 0
        return Overview(
            now,
            history,
            await _moves_of(connection, history),
            await read_rows(connection, through, limit, moved=history.last_move > 0),
            await read_last_reset(connection) if history.last_move else None,
            asked,
            at,
        )

    async def _history(self, connection: AsyncConnection, wanted: Range, now: datetime) -> History:
        if wanted.since is not None or wanted.until is not None:
            since = wanted.since or LONG_AGO
            return await read_history(connection, since, wanted.until or max(since, now))
        recent, lock = self._recent[wanted.span]
        async with lock:
            return await recent.read(connection, now)


def _times_of(wanted: Range) -> tuple[datetime | None, datetime | None]:
    span = SPANS[wanted.span]
    return (wanted.since, wanted.until) if span is None else (datetime.now(UTC) - span, None)


def _through(now: Total, before: int | None) -> int:
    return now.last_id if before is None else min(now.last_id, before - 1)


@asynccontextmanager
async def _of_one_moment(connection: AsyncConnection) -> AsyncIterator[Total]:
    """Read all of one moment, on a connection in autocommit; give that moment's total."""
    age = await _read_age(connection)
    await connection.execute(text("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    try:
        now = await _read_total(connection)
        yield replace(now, behind=age.seconds)
    except Exception:
        if not connection.invalidated:
            await connection.execute(text("ROLLBACK"))
        raise
    await connection.execute(text("COMMIT"))


async def _read_age(connection: AsyncConnection) -> Age:
    return await read_age(lambda query: connection.scalar(text(query)))


async def _moves_of(connection: AsyncConnection, history: History) -> list[Move]:
    if not history.points or not history.last_move:
        return []
    moves = await read_moves(connection, history.points[0].id, history.points[-1].id, MARKS)
    return [move for move in moves if history.since <= move.at <= history.until]


_TOTAL: Final = select(total.c.sum, total.c["count"], total.c.last_id)
_WITH_AGE: Final = _TOTAL.add_columns(literal_column(BEHIND, Float))


async def read_total(connection: AsyncConnection) -> Total:
    """Read the total, on a connection in autocommit.

    One statement from the ledger itself, which has no age. A standby's is read once more.
    """
    asked = time.monotonic()
    first = Total(*(await connection.execute(_WITH_AGE)).one())
    if first.behind is None:
        return first
    age = Age(first.behind, asked)
    return replace(await _read_total(connection), behind=age.seconds)


async def _read_total(connection: AsyncConnection) -> Total:
    return Total(*(await connection.execute(_TOTAL)).one())


async def _read_page(
    connection: AsyncConnection,
    bounds: tuple[int, int] | None,
    between: tuple[int | None, int | None],
    limit: int,
) -> list[Entry]:
    after, before = between
    if bounds is None:
        query = ENTRIES.where(entry.c.id > select(total.c.cleared_through).scalar_subquery())
    else:
        query = ENTRIES.where(entry.c.id > bounds[0], entry.c.id <= bounds[1])
    if before is not None:
        query = query.where(entry.c.id < before)
    if after is not None:
        query = query.where(entry.c.id > after)
    upwards = after is not None and before is None
    page = query.order_by(entry.c.id if upwards else entry.c.id.desc()).limit(limit)
    found = [Entry(*row) for row in await connection.execute(page)]
    return found[::-1] if upwards else found
