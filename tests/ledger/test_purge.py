"""Purging: only what was cleared long ago, and a ledger that is right at any moment."""

import asyncio
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from tally.ledger import purge as purging
from tally.ledger.purge import Purged, purge
from tally.ledger.reader import Total
from tally.ledger.writer import Key
from tests.support.postgres import PATIENCE

ONE = 10**9
DAY = timedelta(days=1)


@pytest.fixture
async def age(owner):
    """Makes a reset look older than it is."""

    async def make(reset_id, days):
        await owner.execute(
            f"UPDATE tally.reset SET at = at - interval '{days} days' WHERE id = {reset_id}"
        )

    return make


@pytest.fixture
async def database(connect):
    return connect("postgres")


async def kept(owner):
    return [entry_id for entry_id, _, _ in await owner.entries()]


async def test_nothing_to_purge_is_no_error(database, writer, resets):
    assert await purge(database, timedelta(0)) == Purged(0, 0)
    await writer.add([ONE])
    assert await purge(database, timedelta(0)) == Purged(0, 0)
    await resets.reset()
    assert await purge(database, DAY) == Purged(0, 0)
    assert await purge(database, timedelta.max) == Purged(0, 0)


async def test_what_was_cleared_long_enough_ago_is_deleted(
    *, database, writer, resets, reader, owner, age, drift
):
    for number in range(3):
        await writer.add([number * ONE] * 2)
        await resets.reset()
    await writer.add([7 * ONE])
    await age(1, 40)
    await age(2, 20)
    assert await purge(database, 30 * DAY) == Purged(2, 2)
    assert await kept(owner) == [3, 4, 5, 6, 7]
    assert await drift() is None
    assert await purge(database, 10 * DAY) == Purged(2, 4)
    assert await purge(database, timedelta(0)) == Purged(2, 6)
    assert await kept(owner) == [7]
    assert await reader.total() == Total(7 * ONE, 1, 7)
    assert await drift() is None


async def test_what_is_current_is_never_deleted(*, database, writer, resets, owner, age, drift):
    await writer.add([ONE] * 3)
    await resets.reset()
    await age(1, 40)
    await resets.undo(1)
    assert await purge(database, timedelta(0)) == Purged(0, 0)
    assert await kept(owner) == [1, 2, 3]
    assert await drift() is None


async def test_a_clock_set_back_purges_nothing_early(database, writer, resets, age):
    await writer.add([ONE])
    await resets.reset()
    await writer.add([ONE])
    await resets.reset()
    await age(2, 40)  # the later reset bears the earlier date
    assert await purge(database, 30 * DAY) == Purged(0, 0)


async def test_resets_and_answers_stay(database, writer, resets, owner):
    await writer.add([ONE], Key.of("a", [ONE], batch=False))
    await resets.reset("key")
    tables = "SELECT reset::text FROM tally.reset UNION ALL SELECT answer::text FROM tally.answer"
    before = await owner.fetch(tables)
    assert (await purge(database, timedelta(0))).entries == 1
    assert await owner.fetch(tables) == before


async def test_adds_resets_and_undos_go_on_after_a_purge(database, writer, resets, drift, reader):
    await writer.add([ONE])
    await resets.reset()
    await purge(database, timedelta(0))
    assert (await writer.add([2 * ONE])).sum == 2 * ONE
    reset, _ = await resets.reset()
    await writer.add([3 * ONE])
    await resets.undo(reset.id)
    assert await reader.total() == Total(5 * ONE, 2, 3)
    assert await drift() is None


async def test_a_purge_goes_in_steps_and_tells_of_each(database, writer, resets, monkeypatch):
    monkeypatch.setattr(purging, "STEP", 4)
    await writer.add([ONE] * 10)
    await resets.reset()
    seen = []
    purged = await purge(database, timedelta(0), lambda done, total: seen.append((done, total)))
    assert purged == Purged(10, 10)
    assert seen == [(4, 10), (8, 10), (10, 10)]


async def test_an_undo_between_two_steps_is_safe(database, writer, resets, owner, drift):
    await writer.add([ONE] * 4)
    await resets.reset()
    await writer.add([ONE] * 4)
    await resets.reset()
    steps = []
    undoing = []

    def undo_the_second(done, total):
        steps.append((done, total))
        if len(steps) == 1:
            undoing.append(asyncio.create_task(resets.undo(2)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(purging, "STEP", 2)
        async with owner.holding("tally.answer"):  # so that nothing else is in the way
            purged = await purge(database, timedelta(0), undo_the_second)
    await asyncio.gather(*undoing, return_exceptions=True)
    assert purged.through in (4, 6, 8)
    assert await kept(owner) == list(range(purged.through + 1, 9))
    assert await drift() is None


async def test_the_ledger_is_right_after_every_step_and_in_use(
    database, writer, resets, drift, monkeypatch
):
    monkeypatch.setattr(purging, "STEP", 50)
    await writer.add([ONE] * 2000)
    await resets.reset()
    running = True
    sums = []

    async def add():
        while running:
            sums.append((await writer.add([ONE])).sum)

    adding = asyncio.create_task(add())
    purging_task = asyncio.create_task(purge(database, timedelta(0)))
    differences = []
    while not purging_task.done():
        differences.append(await drift())
    running = False
    await adding
    assert (await purging_task).entries == 2000
    assert len(differences) > 1
    assert set(differences) == {None}
    assert sums == [number * ONE for number in range(1, len(sums) + 1)]


PURGER = """
import asyncio, sys
from datetime import timedelta
from tally.ledger import purge
from tally.ledger.database import Database

purge.STEP = 20
database = Database(sys.argv[1], timeout=60)
print("began", flush=True)
asyncio.run(purge.purge(database, timedelta(0)))
"""


async def test_a_purge_killed_at_any_moment_leaves_a_right_ledger(
    *, ledger, database, writer, resets, owner, drift
):
    await writer.add([ONE] * 10_000)
    await resets.reset()
    through = "SELECT purged_through FROM tally.total"
    reached = [0]
    for _ in range(3):
        purger = subprocess.Popen(  # noqa: ASYNC220 - killed below, and never waited for long
            [sys.executable, "-c", PURGER, ledger.owner_url], stdout=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(PATIENCE):
                while await owner.fetchval(through) == reached[-1]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            purger.send_signal(signal.SIGKILL)
            purger.communicate()
        assert await drift() is None
        reached.append(await owner.fetchval(through))
    assert reached[-1] > reached[0]
    assert (await purge(database, timedelta(0))).through == 10_000
    assert await kept(owner) == []
    assert await drift() is None
