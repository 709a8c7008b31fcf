"""Reading the ledger: the total, entries in pages, the list, and history."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Float, literal_column, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
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
        self.total = SingleFlight(lambda: database.run(_read_newest, one_statement=True))
        self._recent = {name: (Recent(span), asyncio.Lock()) for name, span in SPANS.items()}

    async def overview(
        self, wanted: Range = NO_RANGE, place: Position = TOP, limit: int = LISTED
    ) -> Overview:
        """Read what the page shows; `limit` is in entries."""

        async def work(connection: AsyncConnection) -> Overview:
            await _of_one_moment(connection)
            return await self._overview(connection, wanted, place, limit)

        return await self._database.run(work)

    async def history(self, wanted: Range) -> tuple[History, list[Move]]:
        """Read a history, and the newest resets and undos in it."""

        async def work(connection: AsyncConnection) -> tuple[History, list[Move]]:
            await _of_one_moment(connection)
            history = await self._history(connection, wanted, datetime.now(UTC))
            return history, await _moves_of(connection, history)

        return await self._database.run(work)

    async def changes(self, before: int | None, limit: int) -> tuple[Total, Rows]:
        """Read the total, and the list below an entry or from its top."""

        async def work(connection: AsyncConnection) -> tuple[Total, Rows]:
            await _of_one_moment(connection)
            now = await read_total(connection)
            return now, await read_rows(connection, _through(now, before), limit)

        return await self._database.run(work)

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
                return await _read_page(connection, None, (after, before), limit)
            await _of_one_moment(connection)
            bounds = await read_bounds(connection, *_times_of(wanted))
            return await _read_page(connection, bounds, (after, before), limit)

        return await self._database.run(work, one_statement=wanted == NO_RANGE)

    async def bounds(self, wanted: Range) -> tuple[int, int]:
        """Read which entries are of a range of time: after the first id, up to the last."""
        return await self._database.run(
            lambda connection: read_bounds(connection, *_times_of(wanted))
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

    async def _overview(
        self, connection: AsyncConnection, wanted: Range, place: Position, limit: int
    ) -> Overview:
        at = datetime.now(UTC)
        now = await read_total(connection)
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


async def _of_one_moment(connection: AsyncConnection) -> None:
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


async def _moves_of(connection: AsyncConnection, history: History) -> list[Move]:
    if not history.points or not history.last_move:
        return []
    moves = await read_moves(connection, history.points[0].id, history.points[-1].id, MARKS)
    return [move for move in moves if history.since <= move.at <= history.until]


BEHIND: Final = "CASE WHEN pg_is_in_recovery() THEN tally.behind_seconds() END"
_TOTAL: Final = select(
    total.c.sum, total.c["count"], total.c.last_id, literal_column(BEHIND, Float)
)


async def read_total(connection: AsyncConnection) -> Total:
    """Read the total."""
    return Total(*(await connection.execute(_TOTAL)).one())


async def _read_newest(connection: AsyncConnection) -> Total:
    """Read the total by itself: each statement sees what is committed when it begins.

    A standby goes on replaying while a statement runs, which sees nothing of that, and its age is
    that of what it replayed last. So there a second look is at least as new as the first one said.
    """
    asked = time.monotonic()
    found = await read_total(connection)
    if found.behind is None:
        return found
    later = await read_total(connection)
    if later.behind is None:
        return later
    return replace(later, behind=found.behind + time.monotonic() - asked)


async def _read_page(
    connection: AsyncConnection,
    bounds: tuple[int, int] | None,
    between: tuple[int | None, int | None],
    limit: int,
) -> Page:
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
    page = query.order_by(entry.c.id if upwards else entry.c.id.desc()).limit(limit).subquery()
    # A row even where there is no entry.
    age = select(literal_column(BEHIND, Float).label("behind")).subquery()
    both = select(page, age).select_from(age.outerjoin(page, true()))
    found = (await connection.execute(both.order_by(page.c.id.desc()))).all()
    return Page([Entry(*row[:-1]) for row in found if row.id is not None], found[0].behind)
