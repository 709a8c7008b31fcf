"""Reading: pages and history, each of one moment."""

import asyncio
import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from tally.ledger.database import Unavailable
from tally.ledger.reader import NEWEST, POINTS, Overview, Total
from tests.support.postgres import PATIENCE

ONE = 10**9


def ids(entries):
    return [entry.id for entry in entries]


# An empty ledger


async def test_an_empty_ledger_reads_as_nothing(reader):
    before = datetime.now(UTC)
    assert await reader.total() == Total(0, 0, 0)
    assert (await reader.page(None, 50)).entries == []
    overview = await reader.overview()
    assert overview == Overview(Total(0, 0, 0), [], [], overview.at)
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
    assert (await reader.overview()).history == []
    await writer.add([5 * ONE])
    assert await reader.total() == Total(5 * ONE, 1, 4)
    assert ids((await reader.page(None, 50)).entries) == [4]
    assert (await reader.page(4, 50)).entries == []
    overview = await reader.overview()
    assert (ids(overview.newest), ids(overview.history)) == ([4], [4])


async def test_entries_come_back_with_their_reset_undone(reader, writer, resets):
    await writer.add([ONE] * 3)
    reset, _ = await resets.reset()
    await writer.add([5 * ONE])
    await resets.undo(reset.id)
    assert await reader.total() == Total(8 * ONE, 4, 4)
    assert ids((await reader.page(None, 50)).entries) == [4, 3, 2, 1]
    assert ids((await reader.overview()).history) == [1, 2, 3, 4]


# What the page shows


@pytest.mark.parametrize("count", [1, 2, POINTS - 1, POINTS, POINTS + 1, 3 * POINTS + 7])
async def test_history_is_spread_over_all_entries_and_bounded(reader, writer, count):
    await writer.add([ONE] * count)
    overview = await reader.overview()
    shown = ids(overview.history)
    assert len(shown) == min(count, POINTS)
    assert (shown[0], shown[-1]) == (1, count)
    steps = [after - before for before, after in pairwise(shown)]
    assert max(steps, default=1) - min(steps, default=1) <= 1
    assert [entry.sum_after for entry in overview.history] == [number * ONE for number in shown]
    assert ids(overview.newest) == list(range(count, 0, -1))[:NEWEST]


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
        overview = await reader.overview()
        seen.add(overview.total.last_id)
        if overview.total.count == 0:
            assert overview.newest == overview.history == []
            continue
        assert overview.newest[0].id == overview.history[-1].id == overview.total.last_id
        assert overview.newest[0].sum_after == overview.total.sum
        assert overview.total.count == overview.total.last_id - overview.history[0].id + 1
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
            assert (await reader.overview()).total == Total(0, 0, 0)
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
