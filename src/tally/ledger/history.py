"""The total over time: few points, all of them true, at a cost that does not grow with the ledger.

A *step* moves the total: an entry, or a *move*, which is a reset or an undo of one. Steps have an
order, that of ids, and a time. A clock may have been set back, so here a step's time is at least
that of what came before its stretch.

Points are chosen by time: of each interval of `width` the first, last, lowest and highest step.
That survives joining: thinning the points of two reads gives what one read would have given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from sqlalchemy import DateTime, Interval, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.schema import AmountType

# At most so many intervals a range, and more than half of it; up to four points of each.
INTERVALS: Final = 96
LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)
FAR_AHEAD: Final = datetime(9999, 12, 31, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Sizes of stretches that a ledger of any size may have.
SIZES: Final = tuple(256 * 16**level for level in range(9))


class Point(NamedTuple):
    """The total right after a step: the entry `id`, or the move `move` that came right after it."""

    id: int
    move: int
    at: datetime
    sum: Amount


@dataclass(frozen=True, slots=True)
class History:
    """The total from one time to another, both included.

    `start` is the last step before; without one, nothing had been added, or all of it was purged,
    and the total was `before`. `points` are in order. `last_move` is the newest move of all, 0
    before the first.
    """

    since: datetime
    until: datetime
    before: Amount
    start: Point | None
    points: Sequence[Point]
    last_move: int

    @property
    def known(self) -> Sequence[Point]:
        """What the total was at the start, and each point since."""
        if self.start is None:
            return self.points
        return [self.start._replace(at=self.since), *self.points]


def thin(points: Iterable[Point], width: timedelta) -> list[Point]:
    """Keep the first, last, lowest and highest of each interval; points are in order."""
    kept: list[Point] = []
    for _, group in groupby(points, lambda point: interval_of(point.at, width)):
        same = list(group)
        if len(same) > 4:  # noqa: PLR2004 - those four
            lowest = min(same, key=lambda point: point.sum)
            highest = max(same, key=lambda point: point.sum)
            same = sorted({same[0], lowest, highest, same[-1]}, key=lambda point: point[:2])
        kept += same
    return kept


def interval_of(at: datetime, width: timedelta) -> int:
    """Number the interval of this width that a time is in."""
    return (at - _EPOCH) // width


def begin_of(at: datetime, width: timedelta) -> datetime:
    """Say when the interval began that a time is in."""
    return _EPOCH + interval_of(at, width) * width


def width_of(since: datetime, until: datetime) -> timedelta:
    """Choose the width of intervals for a range: a power of two microseconds, so that they join."""
    least = -(-(until - since) // INTERVALS // MICROSECOND)
    return (1 << (max(least, 1) - 1).bit_length()) * MICROSECOND


async def read_history(connection: AsyncConnection, since: datetime, until: datetime) -> History:
    """Read the history of any range of time."""
    ledger = (await connection.execute(_LEDGER)).one()
    begin = Point(ledger.purged_through, 0, LONG_AGO, ledger.purged_sum)
    width = width_of(max(since, ledger.first_at or since), max(since, until))
    start, points = await read_points(connection, begin, ledger.last_id, since, until, width)
    if since == LONG_AGO:
        since = points[0].at if points else until
    return History(since, until, ledger.purged_sum, start, points, ledger.last_move)


async def read_step(connection: AsyncConnection, at: datetime) -> Point | None:
    """Read the last step there was at a time."""
    if at >= FAR_AHEAD:
        at = FAR_AHEAD - MICROSECOND
    return (await read_history(connection, at + MICROSECOND, at + MICROSECOND)).start


async def read_bounds(
    connection: AsyncConnection, since: datetime | None, until: datetime | None
) -> tuple[int, int]:
    """Read which entries a range of time has: those after the first id, up to the second."""
    before = None
    if since is not None and since > LONG_AGO:
        before = await read_step(connection, since - MICROSECOND)
    last = await read_step(connection, until or FAR_AHEAD)
    purged = (await connection.execute(_LEDGER)).one().purged_through
    return before.id if before else purged, last.id if last else purged


_LEDGER: Final = text(
    """
    SELECT purged_through, purged_sum, last_id,
           coalesce((SELECT max(m.id) FROM tally.move AS m), 0) AS last_move,
           coalesce((SELECT m.at FROM tally.move AS m WHERE m.after_id = purged_through
                      ORDER BY m.id LIMIT 1),
                    (SELECT e.added_at FROM tally.entry AS e WHERE e.id = purged_through + 1)
           ) AS first_at
      FROM tally.total
    """
).columns(purged_sum=AmountType)


async def read_points(  # noqa: PLR0917 - a range and where it is known
    connection: AsyncConnection,
    after: Point,
    through: int,
    since: datetime,
    until: datetime,
    width: timedelta,
) -> tuple[Point | None, list[Point]]:
    """Read the steps after `after`, up to the entry `through` and the moves that came after it.

    Returns the last step before `since`, if any, and thinned points from then until `until`.
    """
    rows = await connection.execute(
        _POINTS,
        {
            "after": after.id,
            "move": after.move,
            "latest": after.at,
            "through": through,
            "since": since,
            "until": until,
            "width": width,
        },
    )
    points = [Point(*row) for row in rows]
    if points and points[0].at < since:
        return points[0], points[1:]
    return None, points


async def read_steps(connection: AsyncConnection, after: Point, through: int) -> list[Point]:
    """Read each step after `after`, up to the entry `through` and what came after it."""
    given = {"after": after.id, "move": after.move, "through": through}
    latest, points = after.at, []
    for row in await connection.execute(_STEPS, given):
        latest = max(latest, row.at)
        points.append(Point(row.id, row.move, latest, row.sum))
    return points


_STEPS: Final = text(
    """
    SELECT id, 0 AS move, added_at AS at, sum_after AS sum FROM tally.entry
     WHERE id > :after AND id <= :through
     UNION ALL
    SELECT after_id, id, at, sum_after FROM tally.move
     WHERE id > :move AND after_id >= :after AND after_id <= :through
     ORDER BY id, move
    """
).columns(sum=AmountType)
# From the largest stretches down, those are split that the range cuts, or that last longer than an
# interval; of the smallest ones, and of what is in none, the steps are read.
_POINTS: Final = (
    text(
        f"""
    WITH RECURSIVE size AS MATERIALIZED (
        SELECT size, (CAST(:after AS bigint) / size + 1) * size AS head,
               coalesce((SELECT max(s.last_id) FROM tally.stretch AS s WHERE s.size = sizes.size
                            AND s.last_id <= CAST(:through AS bigint)), 0) AS tail
          FROM unnest(ARRAY[{",".join(map(str, SIZES))}]::bigint[]) AS sizes (size)
    ), part AS (
        SELECT s.* FROM size
          JOIN size AS larger ON larger.size = size.size * 16
          JOIN tally.stretch AS s ON s.size = size.size
           AND s.last_id > size.head AND s.last_id <= size.tail
           AND (s.last_id <= larger.head OR s.last_id > larger.tail)
        UNION ALL
        SELECT s.* FROM part
          JOIN tally.stretch AS s ON s.size = part.size / 16
           AND s.last_id > part.last_id - part.size AND s.last_id <= part.last_id
         WHERE part.size > 256 AND part.first_at <= :until AND part.last_at >= :since
           AND (part.last_at - part.first_at > :width
                OR part.first_at < :since OR part.last_at > :until)
    ), examined AS (
        SELECT *, first_at <= :until AND last_at >= :since
                  AND (last_at - first_at > :width
                       OR first_at < :since OR last_at > :until) AS split
          FROM part
    ), leaf AS (
        SELECT last_id - 256 AS before_id, last_id, first_at AS latest FROM examined
         WHERE split AND size = 256
        UNION ALL
        SELECT CAST(:after AS bigint),
               CASE WHEN tail > head THEN head ELSE CAST(:through AS bigint) END,
               CAST(:latest AS timestamptz)
          FROM size WHERE size = 256
        UNION ALL
        SELECT tail, CAST(:through AS bigint), s.last_at
          FROM size JOIN tally.stretch AS s ON s.size = 256 AND s.last_id = tail
         WHERE size.size = 256 AND tail > head
    ), step AS (
        SELECT id, move, sum,
               greatest(latest, max(at) OVER (PARTITION BY before_id ORDER BY id, move)) AS at
          FROM (
            SELECT before_id, latest, e.id, 0::bigint AS move, e.added_at AS at, e.sum_after AS sum
              FROM leaf JOIN tally.entry AS e ON e.id > before_id AND e.id <= leaf.last_id
             UNION ALL
            SELECT before_id, latest, m.after_id, m.id, m.at, m.sum_after
              FROM leaf JOIN tally.move AS m ON m.after_id >= before_id AND m.id > :move
               AND (m.after_id < leaf.last_id OR leaf.last_id = CAST(:through AS bigint))
               AND m.after_id <= leaf.last_id
          ) AS of_leaf
    ), point AS MATERIALIZED (
        SELECT id, move, at, sum FROM step
        UNION ALL
        SELECT p.* FROM examined CROSS JOIN LATERAL (VALUES
            (first_after, first_move, first_at, first_sum), (low_after, low_move, low_at, low_sum),
            (high_after, high_move, high_at, high_sum), (last_id, 0, last_at, last_sum)
          ) AS p (id, move, at, sum) WHERE NOT split
    ), ranked AS (
        SELECT *,
               row_number() OVER (PARTITION BY place ORDER BY id, move) AS nth,
               row_number() OVER (PARTITION BY place ORDER BY id DESC, move DESC) AS nth_last,
               row_number() OVER (PARTITION BY place ORDER BY sum, id, move) AS nth_lowest,
               row_number() OVER (PARTITION BY place ORDER BY sum DESC, id, move) AS nth_highest
          FROM (SELECT *, date_bin(:width, at, '1970-01-01T00:00Z') AS place
                  FROM point WHERE at >= :since AND at <= :until) AS placed
    )
    (SELECT id, move, at, sum FROM point WHERE at < :since ORDER BY id DESC, move DESC LIMIT 1)
    UNION
    SELECT id, move, at, sum FROM ranked WHERE 1 IN (nth, nth_last, nth_lowest, nth_highest)
     ORDER BY id, move
    """  # noqa: S608 - of constants
    )
    .bindparams(
        bindparam("since", type_=DateTime(timezone=True)),
        bindparam("until", type_=DateTime(timezone=True)),
        bindparam("latest", type_=DateTime(timezone=True)),
        bindparam("width", type_=Interval),
    )
    .columns(sum=AmountType)
)
