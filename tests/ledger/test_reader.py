"""Reading: pages, the list and history, each of one moment."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tally.ledger import reader as module
from tally.ledger.database import Unavailable
from tally.ledger.listing import Earlier, Entry
from tally.ledger.purge import purge
from tally.ledger.reader import TOP, Position, Range, Reader, Total
from tests.support.postgres import PATIENCE

ONE = 10**9


def ids(entries):
    return [entry.id for entry in entries]


# An empty ledger


async def test_an_empty_ledger_reads_as_nothing(reader):
    before = datetime.now(UTC)
    assert await reader.total() == Total(0, 0, 0)
    assert (await reader.page(None, 50)).entries == []
    overview = await reader.overview(Range(), TOP, 20)
    assert (overview.total, overview.rows.rows, overview.history.known) == (Total(0, 0, 0), [], ())
    assert (overview.moves, overview.last_reset, overview.asked) == ([], None, None)
    assert before <= overview.at <= datetime.now(UTC)


# Totals and pages


async def test_the_total_is_what_the_last_add_told(reader, writer):
    added = await writer.add([12_500_000_000, -3 * ONE])
    assert await reader.total() == Total(added.sum, added.count, added.last_id)


async def test_an_entry_is_read_as_it_was_added(reader, writer):
    before = datetime.now(UTC)
    await writer.add([ONE])
    await writer.add([-(10**27) + 1])
    newest, oldest = (await reader.page(None, 50)).entries
    assert (newest.id, newest.value, newest.sum_after) == (2, -(10**27) + 1, ONE - 10**27 + 1)
    assert (oldest.id, oldest.value, oldest.sum_after) == (1, ONE, ONE)
    assert before <= oldest.added_at <= newest.added_at <= datetime.now(UTC)


async def test_pages_follow_each_other_to_the_oldest_entry(reader, writer):
    await writer.add([ONE] * 10)
    pages = [(await reader.page(before, 4)).entries for before in (None, 7, 3, 1)]
    assert list(map(ids, pages)) == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1], []]


async def test_a_page_is_not_moved_by_what_is_added_meanwhile(reader, writer):
    await writer.add([ONE] * 5)
    first = (await reader.page(None, 2)).entries
    await writer.add([ONE] * 5)
    assert ids((await reader.page(first[-1].id, 2)).entries) == [3, 2]


async def test_pages_begin_wherever_they_are_asked_to(reader, writer):
    await writer.add([ONE] * 3)
    assert ids((await reader.page(2**63 - 1, 2)).entries) == [3, 2]
    assert ids((await reader.page(0, 2)).entries) == []


# After a reset, and after its undo


async def test_cleared_entries_are_not_shown(reader, writer, resets):
    await writer.add([ONE] * 3)
    await resets.reset()
    assert await reader.total() == Total(0, 0, 3)
    assert (await reader.page(None, 50)).entries == []
    await writer.add([5 * ONE])
    assert await reader.total() == Total(5 * ONE, 1, 4)
    assert ids((await reader.page(None, 50)).entries) == [4]
    assert (await reader.page(4, 50)).entries == []


async def test_entries_come_back_with_their_reset_undone(reader, writer, resets):
    await writer.add([ONE] * 3)
    reset, _ = await resets.reset()
    await writer.add([5 * ONE])
    await resets.undo(reset.id)
    assert await reader.total() == Total(8 * ONE, 4, 4)
    assert ids((await reader.page(None, 50)).entries) == [4, 3, 2, 1]


# What the page shows


async def test_pages_lead_up_as_well_as_down(reader, writer):
    await writer.add([ONE] * 10)
    assert ids((await reader.page(None, 3, after=4)).entries) == [7, 6, 5]
    assert ids((await reader.page(8, 3, after=4)).entries) == [7, 6, 5]
    assert ids((await reader.page(None, 3, after=9)).entries) == [10]
    assert (await reader.page(None, 3, after=10)).entries == []


async def test_entries_of_a_time_are_those_that_came_then_whatever_was_cleared(
    reader, writer, resets, owner
):
    await writer.add([ONE] * 5)
    await owner.execute(
        "UPDATE tally.entry SET added_at = '2026-01-01Z'::timestamptz + id * interval '1 h'"
    )
    await resets.reset()
    day = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [day + timedelta(hours=hour) for hour in range(8)]

    async def within(since, until):
        wanted = Range(since=since, until=until)
        found = ids((await reader.page(None, 50, wanted=wanted)).entries)
        bounds = await reader.bounds(wanted)
        first, last = bounds.after, bounds.through
        assert found == list(range(last, first, -1))
        return found

    assert await within(hours[2], hours[4]) == [4, 3, 2]
    assert await within(hours[2] + timedelta(microseconds=1), None) == [5, 4, 3]
    assert await within(None, hours[3] - timedelta(microseconds=1)) == [2, 1]
    assert await within(hours[6], hours[7]) == []
    assert await within(day - timedelta(days=2), day - timedelta(days=1)) == []


# The list


def told(rows):
    """Each row in short, and a check that it follows from the one below it."""
    for above, below in pairwise(rows):
        assert above.sum_after == below.sum_after + above.value
    return [
        f"{row.id}"
        if isinstance(row, Entry)
        else "earlier"
        if isinstance(row, Earlier)
        else f"{'undo' if row.undo else 'reset'} {row.reset_id}"
        for row in rows
    ]


async def rows_of(reader, before=None, limit=50):
    return (await reader.changes(before, limit))[1]


async def test_resets_and_undos_are_rows_of_their_own_and_all_adds_up(reader, writer, resets):
    await writer.add([ONE, 2 * ONE])
    await resets.reset()
    await writer.add([-3 * ONE])
    await resets.undo(1)
    await resets.reset()
    await writer.add([4 * ONE])
    rows = await rows_of(reader)
    assert told(rows.rows) == ["4", "reset 2", "undo 1", "3", "reset 1", "2", "1"]
    reset = rows.rows[4]
    assert (reset.count, reset.value, reset.sum_after) == (2, -3 * ONE, 0)
    assert reset.undone_at == rows.rows[2].at
    assert rows.rows[1].undone_at is None
    # Pages meet without gap or overlap, at any size.
    for limit, pages in ((1, 4), (2, 2), (3, 2)):
        paged, before = [], None
        for number in range(1, pages + 1):
            page = await rows_of(reader, before, limit)
            paged += page.rows
            assert page.older == (number < pages)
            before = next(row.id for row in reversed(page.rows) if isinstance(row, Entry))
        assert paged == rows.rows


async def test_many_resets_at_one_place_are_few_rows_that_add_up(reader, writer, resets):
    await writer.add([ONE, 2 * ONE])
    for number in range(1, 9):
        await resets.reset()
        await resets.undo(number)
        if number == 2:
            rows = (await rows_of(reader)).rows
            assert told(rows) == ["undo 2", "reset 2", "undo 1", "reset 1", "2", "1"]
    rows = (await rows_of(reader)).rows
    assert told(rows) == ["undo 8", "reset 8", "undo 7", "reset 7", "earlier", "2", "1"]


async def test_the_list_ends_where_a_purge_did(reader, writer, resets, connect):
    await writer.add([ONE] * 3)
    await resets.reset()
    await purge(connect("postgres"), timedelta(0))
    rows = await rows_of(reader)
    assert (told(rows.rows), rows.older) == (["reset 1"], False)
    await writer.add([ONE])
    assert told((await rows_of(reader)).rows) == ["4", "reset 1"]


async def test_a_place_is_found_by_entry_and_by_time(reader, writer, owner):
    await writer.add([ONE] * 9)
    await owner.execute(
        "UPDATE tally.entry SET added_at = '2026-01-01Z'::timestamptz + id * interval '1 h'"
    )
    noon = datetime(2026, 1, 1, 5, 30, tzinfo=UTC)
    for place, through, asked in (
        (Position(before=4), 3, None),
        (Position(around=5), 7, None),
        (Position(around=99), 9, None),
        (Position(at=noon), 5, (5, 0)),
        (Position(at=noon - timedelta(days=1)), 0, None),
    ):
        overview = await reader.overview(Range(), place, 4)
        assert overview.rows.through == through
        assert (overview.asked and overview.asked[:2]) == asked


async def test_the_list_of_a_range_begins_with_its_newest_entry(reader, writer, owner):
    await writer.add([ONE] * 9)
    await owner.execute(
        "UPDATE tally.entry SET added_at = '2026-01-01Z'::timestamptz + id * interval '1 h'"
    )
    day = datetime(2026, 1, 1, tzinfo=UTC)
    for since, until in ((None, 5), (3, 5), (6.2, 6.8), (8, None), (20, 30), (-9, -5)):
        wanted = Range(
            since=None if since is None else day + timedelta(hours=since),
            until=None if until is None else day + timedelta(hours=until),
        )
        rows = (await reader.overview(wanted, TOP, 4)).rows
        assert rows.through == (await reader.bounds(wanted)).through
        if found := (await reader.page(None, 50, wanted=wanted)).entries:
            assert rows.rows[0] == found[0]


# What the page shows


async def test_a_history_marks_the_resets_in_it_and_knows_the_last(reader, writer, resets):
    await writer.add([ONE])
    await resets.reset()
    await writer.add([ONE])
    for span in ("hour", "all"):
        overview = await reader.overview(Range(span), TOP, 20)
        assert [(move.reset_id, move.undo) for move in overview.moves] == [(1, False)]
        assert overview.last_reset == overview.moves[0]
    await resets.undo(1)
    overview = await reader.overview(Range(), TOP, 20)
    assert [(move.reset_id, move.undo) for move in overview.moves] == [(1, True), (1, False)]
    assert overview.last_reset.undone_at == overview.moves[0].at


async def test_so_many_resets_and_undos_are_marked_and_so_many_entries_listed(
    reader, writer, resets
):
    await writer.add([ONE] * 25)
    for number in range(1, 34):
        await resets.reset()
        await resets.undo(number)
    await writer.add([ONE])
    overview = await reader.overview()
    assert [(move.reset_id, move.undo) for move in overview.moves][:2] == [(33, True), (33, False)]
    assert len(overview.moves) == 64
    assert sum(isinstance(row, Entry) for row in overview.rows.rows) == 20


async def test_a_range_may_be_looked_at_from_any_place(reader, writer):
    await writer.add([ONE] * 5)
    now = datetime.now(UTC)
    wanted = Range(since=now - timedelta(hours=1), until=now)
    for place, first in ((TOP, 5), (Position(before=3), 2), (Position(around=1), 5)):
        rows = (await reader.overview(wanted, place, 20)).rows.rows
        assert rows[0].id == first


async def test_a_span_is_the_time_until_now(reader, writer, owner):
    await writer.add([ONE] * 3)
    await owner.execute("UPDATE tally.entry SET added_at = now() - interval '2 h' WHERE id = 1")
    bounds = [await reader.bounds(Range(span)) for span in ("hour", "day", "all")]
    assert [(it.after, it.through) for it in bounds] == [(1, 3), (0, 3), (0, 3)]


async def test_when_an_entry_was_added_is_told_to_whoever_may_read_it(writer, connect):
    await writer.add([ONE])
    reader = Reader(connect("tally_display"))
    [entry] = (await reader.page(None, 1)).entries
    assert await reader.added_at(1) == entry.added_at
    assert await reader.added_at(2) is None
    assert await Reader(connect("tally_adder")).added_at(1) is None


def test_what_is_cleared_ends_where_the_count_begins():
    assert Total(5, 2, 7).cleared_through == 5


async def test_after_an_error_the_next_read_is_of_now(connect, writer, monkeypatch):
    """The connection is not left in the moment that the error came in."""
    reader = Reader(connect("tally_display", connections=1))
    await writer.add([ONE])

    async def fail(*_given):
        raise KeyError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(module, "read_rows", fail)
        with pytest.raises(KeyError):
            await reader.changes(None, 5)
    await writer.add([ONE])
    now, rows = await reader.changes(None, 5)
    assert (now.sum, len(rows.rows)) == (2 * ONE, 2)
    assert (await reader.total()).sum == 2 * ONE


async def test_an_overview_is_of_one_moment(reader, writer, resets):
    running = True

    async def add_and_reset():
        while running:
            await writer.add([random.randrange(-ONE, ONE)])
            if random.random() < 0.1:
                await resets.reset()

    adding = asyncio.create_task(add_and_reset())
    seen = set()
    while len(seen) < 30:
        overview = await reader.overview(Range(), TOP, 20)
        seen.add(overview.total.last_id)
        newest = overview.rows.rows[0] if overview.rows.rows else None
        assert (newest.sum_after if newest else 0) == overview.total.sum
        assert overview.rows.through == overview.total.last_id
        if overview.history.points:
            assert overview.history.points[-1].sum == overview.total.sum
            told(overview.rows.rows)
    running = False
    await adding


# When the database goes away


async def test_a_read_waits_for_the_database_to_come_back(reader, writer, owner):
    await writer.add([ONE])
    assert (await reader.total()).sum == ONE
    async with owner.outage():
        waiting = asyncio.create_task(reader.total())
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert (await waiting).sum == ONE


async def test_a_read_gives_up_in_time(reader, owner, clock):
    async with owner.outage():
        reading = asyncio.create_task(reader.total())
        await clock.advance(0.9 * PATIENCE)
        assert not reading.done()
        await clock.advance(0.2 * PATIENCE)
        with pytest.raises(Unavailable):
            await reading
    assert (await reader.total()).sum == 0


async def test_reads_survive_their_connections(reader, owner):
    cutting = True
    was_read = asyncio.Event()

    async def read():
        while cutting:
            assert await reader.total() == Total(0, 0, 0)
            assert (await reader.overview(Range(), TOP, 20)).total == Total(0, 0, 0)
            assert (await reader.page(None, 5)).entries == []
            was_read.set()

    readers = [asyncio.create_task(read()) for _ in range(4)]
    for _ in range(20):
        await owner.cut()
        was_read.clear()
        waiting = asyncio.create_task(was_read.wait())
        await asyncio.wait([waiting, *readers], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    cutting = False
    await asyncio.gather(*readers)


async def test_reads_never_lag_behind_an_acknowledged_add(reader, writer):
    async def add_and_read():
        for _ in range(40):
            added = await writer.add([ONE])
            assert (await reader.total()).last_id >= added.last_id

    await asyncio.gather(*(add_and_read() for _ in range(8)))
    assert await reader.total() == Total(320 * ONE, 320, 320)
