"""Histories up to now, kept between reads: each read takes only what came since the one before."""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.history import (
    FAR_AHEAD,
    LONG_AGO,
    History,
    Point,
    begin_of,
    interval_of,
    read_points,
    read_steps,
    thin,
    width_of,
)
from tally.ledger.schema import AmountType

SPANS: Final[Mapping[str, timedelta | None]] = MappingProxyType(
    {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(weeks=1),
        "all": None,
    }
)

# Up to so many new steps are read as they are: planning more would take longer.
_FEW: Final = 512
# How far the ledger goes, with its newest steps; and the newest that were known, to see whether
# they still are what they were: a failover or an old backup takes from the end, a purge from the
# beginning.
_BOUNDS: Final = text(
    """
    WITH bound AS (
        SELECT purged_through, purged_sum, last_id,
               coalesce((SELECT max(m.id) FROM tally.move AS m), 0) AS last_move
          FROM tally.total
    ), mark AS (
        SELECT wanted.id, wanted.move,
               (SELECT (e.sum_after, e.added_at)::text FROM tally.entry AS e
                 WHERE e.id = wanted.id) AS entry,
               (SELECT (m.sum_after, m.at)::text FROM tally.move AS m
                 WHERE m.id = wanted.move) AS moved
          FROM (SELECT last_id, last_move FROM bound UNION SELECT :id, :move) AS wanted (id, move)
    )
    SELECT bound.*,
           coalesce((SELECT m.at FROM tally.move AS m WHERE m.after_id = purged_through
                      ORDER BY m.id LIMIT 1),
                    (SELECT e.added_at FROM tally.entry AS e WHERE e.id = purged_through + 1)
           ) AS first_at,
           (known.entry, known.moved, purged_through)::text AS known,
           (newest.entry, newest.moved, purged_through)::text AS newest
      FROM bound
      JOIN mark AS known ON (known.id, known.move) = (:id, :move)
      JOIN mark AS newest ON (newest.id, newest.move) = (last_id, last_move)
    """
).columns(purged_sum=AmountType)


class Recent:
    """The history of the last `span`, or of all time where that is None."""

    def __init__(self, span: timedelta | None) -> None:
        self._span = span
        self._known = Point(0, 0, LONG_AGO, Amount(0))
        self._mark = ""
        self._since = LONG_AGO
        self._start: Point | None = None
        self._points: list[Point] = []
        self._width = timedelta(0)

    async def read(self, connection: AsyncConnection, now: datetime) -> History:
        """Bring the history up to date in the connection's snapshot; one read at a time."""
        given = {"id": self._known.id, "move": self._known.move}
        bounds = (await connection.execute(_BOUNDS, given)).one()
        since = bounds.first_at or now
        if self._span is not None:
            since = begin_of(now - self._span, width_of(now - self._span, now))
        # Where the clock was set back, a span needs again what was let go of.
        if self._mark != bounds.known or since < self._since:
            self._known = Point(bounds.purged_through, 0, LONG_AGO, bounds.purged_sum)
            self._start, self._points = None, []
        self._since = since
        until = max(since, now)
        width = width_of(since, until)
        if width != self._width:
            self._points, self._width = thin(self._points, width), width
        newest = Point(bounds.last_id, bounds.last_move, self._known.at, self._known.sum)
        self._take(*await self._new_steps(connection, newest, since))
        self._drop(since)
        self._known = newest._replace(at=self._known.at)
        self._mark = bounds.newest
        if self._points:
            until = max(until, self._points[-1].at)
        points = tuple(self._points)
        return History(since, until, bounds.purged_sum, self._start, points, bounds.last_move)

    async def _new_steps(
        self, connection: AsyncConnection, newest: Point, since: datetime
    ) -> tuple[Point | None, list[Point]]:
        """Read the last new step before `since`, and those after it."""
        known = self._known
        if newest.id - known.id + newest.move - known.move <= _FEW:
            return None, await read_steps(connection, known, newest.id)
        return await read_points(connection, known, newest.id, since, FAR_AHEAD, self._width)

    def _take(self, start: Point | None, points: list[Point]) -> None:
        """Join new points to those that are kept."""
        if start is not None:
            self._start, self._points, self._known = start, [], start
        if points:
            first = interval_of(points[0].at, self._width)
            joined = len(self._points)
            while joined and interval_of(self._points[joined - 1].at, self._width) == first:
                joined -= 1
            self._points[joined:] = thin([*self._points[joined:], *points], self._width)
            self._known = points[-1]

    def _drop(self, since: datetime) -> None:
        """Let go of what is before the span."""
        gone = bisect_left(self._points, since, key=lambda point: point.at)
        if gone:
            self._start = self._points[gone - 1]
            del self._points[:gone]
