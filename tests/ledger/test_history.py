"""History: few points, each true, none of the extremes lost, whatever happened and whenever."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import accumulate, groupby
from unittest.mock import patch

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tally.ledger import recent
from tally.ledger.history import (
    FAR_AHEAD,
    INTERVALS,
    LONG_AGO,
    Point,
    begin_of,
    interval_of,
    read_bounds,
    read_history,
    read_points,
    read_step,
    read_steps,
    thin,
    width_of,
)
from tally.ledger.recent import SPANS, Recent

ONE = 10**9
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEGIN = Point(0, 0, LONG_AGO, 0)


@pytest.fixture
async def connection(connect):
    async with connect("tally_display").engine.connect() as connection:
        yield connection


@pytest.fixture
async def set_times(owner):
    """Says when each step was, in order: seconds after `START`."""

    async def set_times(entries, moves=()):
        await owner.execute(
            "UPDATE tally.entry SET added_at = $1::timestamptz + s * interval '1 s'"
            " FROM unnest($2::float8[]) WITH ORDINALITY AS t (s, n) WHERE n = id",
            START,
            list(map(float, entries)),
        )
        await owner.execute(
            "UPDATE tally.move SET at = $1::timestamptz + s * interval '1 s'"
            " FROM unnest($2::float8[]) WITH ORDINALITY AS t (s, n) WHERE n = id",
            START,
            list(map(float, moves)),
        )
        await owner.execute(
            "TRUNCATE tally.stretch; SELECT tally.roll_up(last_id) FROM tally.total"
        )

    return set_times


def at(seconds):
    return START + timedelta(seconds=seconds)


async def last_id(owner):
    return await owner.fetchval("SELECT last_id FROM tally.total")


# Examples


async def test_a_peak_of_one_entry_among_thousands_is_seen(writer, owner, set_times, connection):
    for _ in range(2):
        await writer.add([ONE // 100] * 10_000)
    await writer.add([1_000_000 * ONE])
    await writer.add([-1_000_000 * ONE])
    await writer.add([500 * ONE])
    await set_times([n / 100 for n in range(20_000)] + [210, 220, 230])
    history = await Recent(None).read(connection, at(231))
    assert max(point.sum for point in history.points) == 1_000_200 * ONE
    assert history.points[-4:] == (
        Point(20_000, 0, at(199.99), 200 * ONE),
        Point(20_001, 0, at(210), 1_000_200 * ONE),
        Point(20_002, 0, at(220), 200 * ONE),
        Point(20_003, 0, at(230), 700 * ONE),
    )


async def test_a_drop_is_where_it_was_among_a_million(owner, connection):
    """Added within two hours, but for an hour's pause before the drop at 18:10."""
    await owner.execute(
        """
        INSERT INTO tally.entry
        SELECT n, CASE n WHEN 700000 THEN -600000 ELSE 1 END,
               CASE WHEN n < 700000 THEN n ELSE n - 600001 END,
               '2026-11-24 16:00Z'::timestamptz
               + CASE WHEN n < 700000 THEN n * interval '0.01 s'
                      ELSE interval '2 h 10 min' + (n - 700000) * interval '0.01 s' END
          FROM generate_series(1::bigint, 1000000) AS n;
        UPDATE tally.total SET last_id = 1000000, count = 1000000, sum = 399999;
        """
    )
    now = datetime(2026, 11, 24, 19, tzinfo=UTC)
    points = (await Recent(None).read(connection, now)).points
    fall = next(n for n, point in enumerate(points) if point.id == 700_000)
    assert points[fall] == Point(
        700_000, 0, datetime(2026, 11, 24, 18, 10, tzinfo=UTC), 99_999 * ONE
    )
    assert points[fall - 1][:2] == (699_999, 0)
    assert len(points) <= 4 * INTERVALS


async def test_what_was_the_total_at_a_time(writer, resets, owner, set_times, connection):
    await writer.add([ONE])
    await resets.reset()
    await writer.add([5 * ONE])
    await set_times([0, 20], [10])
    for seconds, known in ((-1, None), (0, (1, 0)), (9, (1, 0)), (10, (1, 1)), (20, (2, 0))):
        moment = at(seconds) + timedelta(microseconds=1)
        start, points = await read_points(
            connection, BEGIN, 2, moment, moment, timedelta(microseconds=1)
        )
        assert (start and start[:2]) == known
        assert points == []


@pytest.fixture
async def story(writer, resets, set_times):
    """Entry 1 at 0 s, 2 at 10 s, a reset at 20 s, and entry 3 by a clock that was set back."""
    await writer.add([ONE])
    await writer.add([2 * ONE])
    await resets.reset()
    await writer.add([5 * ONE])
    await set_times([0, 10, 15], [20])


async def test_a_range_begins_with_what_was_before(story, connection):
    history = await read_history(connection, at(5), at(19))
    assert history.start == Point(1, 0, at(0), ONE)
    assert history.points == [Point(2, 0, at(10), 3 * ONE)]
    assert history.known == [Point(1, 0, at(5), ONE), *history.points]
    assert (history.since, history.until) == (at(5), at(19))
    assert (history.before, history.last_move) == (0, 1)


async def test_all_of_it_begins_with_the_first_step(story, connection):
    history = await read_history(connection, LONG_AGO, FAR_AHEAD)
    assert (history.since, history.start) == (at(0), None)
    # Of so long a time all are within an interval: the first, the lowest, and the highest and last.
    assert [point[:2] for point in history.points] == [(1, 0), (2, 1), (3, 0)]
    assert history.known == history.points
    nothing = await read_history(connection, LONG_AGO, at(-5))
    assert (nothing.since, nothing.until, nothing.points) == (at(-5), at(-5), [])


async def test_a_range_that_begins_before_all_is_as_fine_as_what_is_in_it(
    writer, set_times, connection
):
    for _ in range(6):
        await writer.add([ONE])
    await set_times([0, 10, 20, 30, 40, 50])
    history = await read_history(connection, at(-(10**7)), at(60))
    assert [point.id for point in history.points] == [1, 2, 3, 4, 5, 6]


async def test_each_step_has_its_time(story, connection):
    steps = await read_steps(connection, Point(1, 0, at(12), ONE), 3)
    assert steps == [
        Point(2, 0, at(12), 3 * ONE),
        Point(2, 1, at(20), 0),
        Point(3, 0, at(20), 5 * ONE),
    ]


@pytest.mark.parametrize(
    ("moment", "step"),
    [
        (at(-1), None),
        (at(0), (1, 0)),
        (at(19), (2, 0)),
        (at(20), (3, 0)),
        (FAR_AHEAD, (3, 0)),
        (datetime.max.replace(tzinfo=UTC), (3, 0)),
    ],
    ids=str,
)
async def test_which_step_was_the_last(story, connection, moment, step):
    found = await read_step(connection, moment)
    assert (found and found[:2]) == step


@pytest.mark.parametrize(
    ("since", "until", "bounds"),
    [
        (None, None, (0, 3)),
        (LONG_AGO, at(10), (0, 2)),
        (at(0), at(5), (0, 1)),
        (at(5), at(10), (1, 2)),
        (at(10), FAR_AHEAD, (1, 3)),
        (at(-9), at(-5), (0, 0)),
    ],
    ids=str,
)
async def test_which_entries_a_range_has(story, connection, since, until, bounds):
    assert await read_bounds(connection, since, until) == bounds


@pytest.mark.parametrize(
    ("sums", "kept"),
    [
        ([5, 1, 3, 9, 4], [5, 1, 9, 4]),
        ([5, 9, 3, 1, 4], [5, 9, 1, 4]),
        ([1, 2, 3, 4, 5], [1, 5]),
        ([1, 2, 3, 4], [1, 2, 3, 4]),
    ],
)
def test_of_an_interval_these_are_kept(sums, kept):
    points = [Point(number, 0, at(8), total) for number, total in enumerate(sums)]
    later = [point._replace(at=at(16)) for point in points]
    width = timedelta(seconds=8)
    assert [point.sum for point in thin(points + later, width)] == kept + kept


def test_what_is_kept_stays_in_order_where_moves_follow_an_entry():
    for entry in range(50):
        points = [Point(entry, move, at(8), total) for move, total in enumerate((5, 3, 9, 1, 4))]
        assert [it.move for it in thin(points, timedelta(seconds=8))] == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("range_", "width"), [(0, 1), (1, 1), (96, 1), (97, 2), (192, 2), (193, 4), (96 * 2**20, 2**20)]
)
def test_a_range_has_at_most_so_many_intervals_and_more_than_half(range_, width):
    microsecond = timedelta(microseconds=1)
    assert width_of(START, START + range_ * microsecond) == width * microsecond


def test_an_interval_has_a_number_and_a_beginning():
    epoch, width = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=8)
    for seconds, number, begin in ((0, 0, 0), (7.9, 0, 0), (17, 2, 16), (-1, -1, -8)):
        moment = epoch + timedelta(seconds=seconds)
        assert interval_of(moment, width) == number
        assert begin_of(moment, width) == epoch + timedelta(seconds=begin)


# Any history


class World:
    """A ledger that may be written to at any time, and each of its steps as it must be read."""

    def __init__(self, connection):
        self.connection = connection
        self.steps = []

    async def clear(self):
        self.steps = []
        await self.connection.execute(
            "TRUNCATE tally.entry, tally.reset, tally.correction, tally.move, tally.stretch,"
            " tally.total; INSERT INTO tally.total DEFAULT VALUES"
        )

    async def do(self, what, seconds):
        """Do one thing, at a time that its table is told afterwards."""
        execute, fetchval = self.connection.execute, self.connection.fetchval
        last = await fetchval("SELECT last_id FROM tally.total")
        moved = await fetchval("SELECT coalesce(max(id), 0) FROM tally.move")
        if isinstance(what, list):
            # Their times must be known before the last of them completes a stretch.
            await execute(
                "INSERT INTO tally.entry"
                " SELECT t.last_id + n, v, t.sum + sum(v) OVER (ORDER BY n), $2"
                " FROM tally.total AS t, unnest($1::numeric[]) WITH ORDINALITY AS v (v, n)",
                what,
                at(seconds),
            )
            await execute(
                "UPDATE tally.total SET last_id = last_id + $1, count = count + $1,"
                " sum = (SELECT sum_after FROM tally.entry ORDER BY id DESC LIMIT 1)",
                len(what),
            )
        elif what == "reset":
            await execute("SELECT tally.reset_total(gen_random_uuid())")
        else:
            newest = await fetchval("SELECT max(id) FROM tally.reset WHERE undone_at IS NULL")
            if newest is None:
                return
            await execute("SELECT tally.undo_reset($1)", newest)
        await execute("UPDATE tally.move SET at = $2 WHERE id > $1", moved, at(seconds))
        rows = await self.connection.fetch(
            "SELECT id, 0 AS move, added_at AS at, sum_after FROM tally.entry WHERE id > $1"
            " UNION ALL SELECT after_id, id, at, sum_after FROM tally.move WHERE id > $2"
            " ORDER BY 1, 2",
            last,
            moved,
        )
        self.steps += [Point(*row[:3], int(row[3] * ONE)) for row in rows]

    def within(self, since, until):
        """The last step before a range, and those in it, by the latest time that came to each."""
        latest = accumulate((step.at for step in self.steps), max)
        timed = list(zip(latest, self.steps, strict=True))
        before = [step for moment, step in timed if moment < since]
        return (before or [None])[-1], [s for moment, s in timed if since <= moment <= until]

    def check(self, start, points, since, until, width):
        first, steps = self.within(since, until)
        assert (start and start[:2]) == (first and first[:2])
        latest = accumulate((step.at for step in self.steps), max)
        true = {
            step[:2]: (step.at, moment, step.sum)
            for moment, step in zip(latest, self.steps, strict=True)
        }
        for point in points:
            own, late, total = true[point[:2]]
            assert own <= point.at <= late
            assert point.sum == total
        assert [point[:2] for point in points] == sorted({point[:2] for point in points})
        moments = [point.at for point in points]
        assert moments == sorted(moments)
        intervals = {interval_of(moment, width) for moment in moments}
        assert len(points) <= 4 * len(intervals)
        assert bool(points) == bool(steps)
        if steps:
            assert (points[0][:2], points[-1][:2]) == (steps[0][:2], steps[-1][:2])
            for extreme in (min, max):
                assert extreme(p.sum for p in points) == extreme(s.sum for s in steps)


doings = st.one_of(
    st.lists(st.integers(-3, 3), min_size=1, max_size=3),
    st.tuples(st.integers(100, 5000), st.integers(-2, 2)).map(lambda p: [p[1], 1 - p[1]] * p[0]),
    st.sampled_from(["reset", "reset", "undo"]),
)
times = st.one_of(st.integers(0, 100), st.integers(-(10**6), 10**7))


@pytest.fixture
def world(ledger):
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(ledger.owner_url))
        database = ledger.database("tally_display")
        yield runner, World(connection), database
        runner.run(database.close())
        runner.run(connection.close())


@given(
    happened=st.lists(st.tuples(doings, times), max_size=12),
    orderly=st.booleans(),
    ranges=st.lists(st.tuples(times, times), max_size=4),
    few=st.sampled_from([0, 512]),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_happened_its_history_is_true(world, happened, orderly, ranges, few):
    runner, world, database = world
    if orderly:
        order = sorted(seconds for _, seconds in happened)
        happened = [(what, seconds) for (what, _), seconds in zip(happened, order, strict=True)]

    async def check():
        await world.clear()
        kept = {name: Recent(span) for name, span in SPANS.items()}
        async with database.engine.connect() as connection:
            for what, seconds in happened:
                await world.do(what, seconds)
                for name, span in SPANS.items():
                    now = at(max(0, seconds))
                    history = await kept[name].read(connection, now)
                    since = LONG_AGO if span is None else history.since
                    width = kept[name]._width
                    world.check(history.start, history.points, since, FAR_AHEAD, width)
            through = world.steps[-1].id if world.steps else 0
            for since, until in map(sorted, ranges):
                width = width_of(at(since), at(until))
                start, points = await read_points(
                    connection, BEGIN, through, at(since), at(until), width
                )
                world.check(start, points, at(since), at(until), width)
                assert len(points) <= 4 * (INTERVALS + 1)

    with patch.object(recent, "_FEW", few):
        runner.run(check())


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-9, 9)), max_size=40), st.integers(0, 40))
@example([(0, 0)] * 6, 1)
def test_thinning_what_was_thinned_before_loses_nothing(given_points, cut):
    points = [
        Point(number, 0, at(seconds), total)
        for number, (seconds, total) in enumerate(sorted(given_points, key=lambda pair: pair[0]))
    ]
    width = timedelta(seconds=8)
    again = thin([*thin(points[:cut], width), *thin(points[cut:], width)], width)
    # Of a few points that are alike it may keep more, for few are never thinned.
    assert {*thin(points, width)} <= {*again}
    assert thin(again, width) == again
    for _, group in groupby(again, lambda point: interval_of(point.at, width)):
        assert len(list(group)) <= 4
