"""The audit passes what is right, and names the first thing that is not."""

import asyncio
import random
from datetime import timedelta

import pytest

from tally.ledger import audit as auditing
from tally.ledger.audit import audit
from tally.ledger.database import Unavailable
from tally.ledger.purge import purge
from tally.ledger.writer import Key

ONE = 10**9


@pytest.fixture
async def story(writer, resets, owner, drift):
    """A ledger to which everything has happened; entries 1 to 2 are purged."""
    await writer.add([ONE, 2 * ONE], Key.of("purged", [ONE, 2 * ONE], batch=True))
    await resets.reset()
    # As migration 0002 leaves the resets of nothing that older releases made.
    await owner.execute("INSERT INTO tally.reset VALUES (2, 0, 0, 2, 2, now(), now(), 2)")
    await writer.add([3 * ONE], Key.of("a", [3 * ONE], batch=False))  # 3
    await resets.reset()
    await writer.add([4 * ONE])  # 4
    await resets.undo(3)
    await writer.add([5 * ONE, 6 * ONE], Key.of("b", [5 * ONE, 6 * ONE], batch=True))  # 5, 6
    await resets.reset()  # reset 4 clears 3 to 6
    await writer.add([7 * ONE])  # 7
    await resets.undo(4)
    await resets.reset()  # reset 5 clears 3 to 7
    await writer.add([8 * ONE])  # 8
    assert await drift() is None


@pytest.fixture
async def purged_story(story, owner, connect, drift):
    await owner.execute("UPDATE tally.reset SET at = at - interval '2 days' WHERE id <= 2")
    purged = await purge(connect("postgres"), timedelta(days=1))
    assert (purged.entries, purged.through) == (2, 2)
    assert await drift() is None


async def test_an_empty_ledger_is_right(connect):
    report = await audit(connect("postgres"))
    assert (report.checked, report.difference) == (0, None)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        *(("0", 0), ("12", 12 * ONE), ("-0.5", -ONE // 2), ("-0.000000001", -1)),
        *(("1.000000001", ONE + 1), ("1.5000000000", 3 * ONE // 2)),
    ],
)
def test_an_amount_is_read_exactly(text, units):
    assert auditing._units(text) == units


async def test_without_a_total_nothing_is_checked(story, owner, connect):
    await owner.execute("DELETE FROM tally.total")
    assert (await audit(connect("postgres"))).checked == 0


async def test_progress_is_told(story, connect, monkeypatch):
    monkeypatch.setattr(auditing, "_PAGE", 3)
    seen = []
    report = await audit(connect("postgres"), lambda checked, total: seen.append((checked, total)))
    assert report.checked == 8
    assert seen == [(3, 8), (6, 8), (8, 8)]


async def test_progress_after_a_purge_is_of_what_is_left(purged_story, connect, monkeypatch):
    monkeypatch.setattr(auditing, "_PAGE", 3)
    seen = []
    await audit(connect("postgres"), lambda checked, total: seen.append((checked, total)))
    assert seen == [(3, 6), (6, 6)]


DRIFTS = {
    "UPDATE tally.entry SET value = value + 0.000000001 WHERE id = 5": "sum_after of entry 5 is"
    " 12, but must be 12.000000001",
    "UPDATE tally.entry SET sum_after = sum_after - 1 WHERE id = 3": "sum_after of entry 3 is 2,"
    " but must be 3",
    "DELETE FROM tally.entry WHERE id = 5": "the id of the entry after 4 is 6, but must be 5",
    "DELETE FROM tally.entry WHERE id = 8": "the total's last_id is 8, but must be 7",
    "DELETE FROM tally.entry": "the total's last_id is 8, but must be {first}",
    "INSERT INTO tally.entry VALUES (9, 1, 9, now())": "the total's last_id is 8, but must be 9",
    "UPDATE tally.total SET sum = sum + 1": "the total's sum is 9, but must be 8",
    "UPDATE tally.total SET cleared_through = 6, count = 2": "the total's cleared_through is 6,"
    " but must be 7",
    "UPDATE tally.total SET last_id = 7, count = 0": "the total's last_id is 7, but must be 8",
    "UPDATE tally.reset SET sum = sum + 1 WHERE id = 5": "sum_after of entry 8 is 8, but must be 7",
    "UPDATE tally.reset SET sum = sum + 1 WHERE id = 4": "sum_after of entry 7 is 7, but must be 6",
    "UPDATE tally.reset SET sum = sum + 1 WHERE id = 3": "sum_after of entry 4 is 4, but must be 3",
    "UPDATE tally.reset SET undone_after = 5 WHERE id = 3": "sum_after of entry 5 is 12,"
    " but must be 9",
    "UPDATE tally.reset SET undone_after = 9 WHERE id = 4": "undone_after of reset 4 is 9,"
    " but must be in 6 to 8",
    "UPDATE tally.reset SET undone_after = NULL, undone_at = NULL WHERE id = 3": "cleared_from of"
    " reset 5 is 2, but must be 3",
    "UPDATE tally.reset SET undone_after = 8, undone_at = now() WHERE id = 5": "the total's"
    " cleared_through is 7, but must be 2",
    "DELETE FROM tally.reset WHERE id = 2": "the id of reset number 2 is 3, but must be 2",
    "DELETE FROM tally.reset WHERE id = 5": "the total's cleared_through is 7, but must be 2",
    "UPDATE tally.reset SET cleared_from = 3, count = 4 WHERE id = 5": "cleared_from of reset 5"
    " is 3, but must be 2",
    "UPDATE tally.reset SET cleared_through = 9, count = 7 WHERE id = 5": "what reset 5 cleared is"
    " (2, 9], but must be in 1 to 8",
    "UPDATE tally.reset SET cleared_through = 8, undone_after = 8, count = 6 WHERE id = 4": (
        "cleared_through of reset 5 is 7, but must be at least 8"
    ),
    "UPDATE tally.answer SET sum = 13 WHERE last_id = 6": "the sum of the kept answer for entry 6"
    " is 13, but must be 18",
    "UPDATE tally.answer SET count = count + 1 WHERE last_id = 3": "the count of the kept answer"
    " for entry 3 is 2, but must be 1",
    "UPDATE tally.answer SET last_id = 9 WHERE last_id = 6": "the range of ids of a kept answer is"
    " 5 to 9, but must be in 1 to 8",
    "UPDATE tally.answer SET first_id = 7 WHERE last_id = 6": "the range of ids of a kept answer"
    " is 7 to 6, but must be in 1 to 8",
    "UPDATE tally.answer SET first_id = 0 WHERE last_id = 3": "the range of ids of a kept answer"
    " is 0 to 3, but must be in 1 to 8",
    "INSERT INTO tally.answer SELECT gen_random_uuid(), body, first_id, last_id, sum, count"
    " FROM tally.answer WHERE last_id = 3": "the first id of the kept answer for entry 3 is 3,"
    " but must be above 3, which another answer tells of",
    "UPDATE tally.answer SET first_id = 4 WHERE last_id = 6": "the first id of the kept answer"
    " for entry 6 is 4, but must be at least 5, where its batch begins",
    "UPDATE tally.answer SET first_id = 3 WHERE last_id = 6": "the first id of the kept answer"
    " for entry 6 is 3, but must be above 3, which another answer tells of",
    "DELETE FROM tally.total": "the number of rows in tally.total is 0, but must be 1",
}


@pytest.mark.parametrize("change", DRIFTS)
async def test_drift_is_found_and_named(story, owner, drift, change):
    await owner.execute(change)
    assert await drift() == DRIFTS[change].format(first=0)


@pytest.mark.parametrize("change", DRIFTS)
async def test_drift_is_found_after_a_purge(purged_story, owner, drift, change):
    await owner.execute(change)
    assert await drift() == DRIFTS[change].format(first=2)


async def test_drift_of_what_a_purge_left_is_found(purged_story, owner, drift):
    await owner.execute("UPDATE tally.total SET purged_sum = purged_sum + 1")
    assert await drift() == "sum_after of entry 3 is 3, but must be 4"
    await owner.execute("UPDATE tally.total SET purged_sum = purged_sum - 1, purged_through = 1")
    assert await drift() == "the id of the entry after 1 is 3, but must be 2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE tally.move SET sum_after = 9 WHERE reset_id = 1", "sum_after of move 1 is 9,"),
        ("DELETE FROM tally.move WHERE reset_id = 1", "the move of reset 1, undo False is None,"),
        (
            "DELETE FROM tally.move WHERE reset_id = 3 AND NOT undo",
            "the move of reset 3, undo False is None,",
        ),
    ],
)
async def test_drift_of_a_move_from_where_a_purge_ended_is_found(
    purged_story, owner, drift, change, said
):
    await owner.execute(change)
    assert (await drift()).startswith(said)


async def test_a_reset_and_its_undo_drifting_together_are_found(story, owner, drift):
    """Reset 1 given back within the same boundary would leave no trace in any running sum."""
    await owner.execute(
        "INSERT INTO tally.reset SELECT 6, sum - 1, count, cleared_from, cleared_through, at,"
        " now(), 7, NULL FROM tally.reset WHERE id = 5"
    )
    assert await drift() == "sum of reset 6 is 24, but must be 25"


async def test_extreme_sums_are_recomputed_exactly(writer, owner, drift):
    largest = 10**27 - 1
    await writer.add([largest] * 1000)
    await writer.add([random.randrange(-largest, largest) for _ in range(5000)])
    assert await drift() is None
    await owner.execute("UPDATE tally.total SET sum = sum + 0.000000001")
    assert (await drift()).startswith("the total's sum is")


async def test_an_audit_sees_one_moment(writer, resets, connect, monkeypatch):
    monkeypatch.setattr(auditing, "_PAGE", 200)
    database = connect("postgres")
    await writer.add([ONE] * 5000)
    running = True

    async def go_on():
        while running:
            await writer.add([ONE, -ONE], Key.of(str(random.random()), [ONE, -ONE], batch=True))
            reset, _ = await resets.reset()
            if random.random() < 0.5:
                await resets.undo(reset.id)

    going_on = asyncio.create_task(go_on())
    checked = [await audit(database) for _ in range(5)]
    running = False
    await going_on
    assert [report.difference for report in checked] == [None] * 5
    assert checked[0].checked < checked[-1].checked


async def test_an_audit_changes_nothing_and_needs_a_database(story, owner, connect):
    database = connect("postgres")
    await audit(database)
    async with owner.outage():
        # The owner is a superuser, whom an outage of this kind does not stop.
        assert (await audit(database)).difference is None
        with pytest.raises(Unavailable):
            await audit(connect("tally_adder", timeout=0.5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE tally.correction SET value = 3",
            "the value kept of entry 10 is 3, but must be -7",
        ),
        (
            "UPDATE tally.correction SET entry_id = 8",
            "the value of entry 10, which undoes entry 8, is -7, but must be -8",
        ),
        (
            "UPDATE tally.correction SET sum = 1",
            "the sum of the kept answer for entry 10 is 1, but must be 8",
        ),
        (
            "UPDATE tally.correction SET count = 1",
            "the count of the kept answer for entry 10 is 1, but must be 3",
        ),
        (
            "UPDATE tally.correction SET undone_by = 11",
            "the range of ids of a kept answer is 11 to 11, but must be in 1 to 10",
        ),
    ],
)
async def test_drift_of_an_undone_entry_is_found(
    story, writer, corrections, owner, drift, change, said
):
    await writer.add([7 * ONE])  # 9
    await corrections.undo(9)  # 10
    assert await drift() is None
    await owner.execute(change)
    assert await drift() == said


@pytest.fixture
async def long_story(story, writer, resets, owner, drift):
    """More stretches, in which resets and undos came."""
    await writer.add([ONE] * 2000)
    await resets.reset()
    await writer.add([-ONE] * 3000)
    await resets.undo(6)
    await writer.add([-ONE] * 100)
    assert await owner.fetchval("SELECT count(*) FROM tally.stretch WHERE size > 256") == 1
    assert await drift() is None


HISTORY_DRIFTS = {
    "UPDATE tally.move SET value = value + 1 WHERE id = 2": "move 2 is",
    "UPDATE tally.move SET after_id = 4 WHERE id = 2": "move 2 is",
    "UPDATE tally.move SET count = 9 WHERE id = 3": "move 3 is",
    "UPDATE tally.move SET sum_after = 9 WHERE id = 4": "sum_after of move 4 is 9, but must be 0",
    "DELETE FROM tally.move WHERE id = 8": "the move of reset 6, undo True is None",
    "INSERT INTO tally.move SELECT 99, 99, undo, after_id, count, value, sum_after, at"
    " FROM tally.move WHERE id = 8": "move 99 is",
    "DELETE FROM tally.stretch WHERE last_id = 512": "the next stretch is (256, 768)",
    "INSERT INTO tally.stretch SELECT 4096, 8192, first_at, first_after, first_move, first_sum,"
    " low_at, low_after, low_move, low_sum, high_at, high_after, high_move, high_sum, last_at,"
    " last_sum FROM tally.stretch WHERE size = 4096": "a stretch is (4096, 8192), but must be none",
    **{
        f"UPDATE tally.stretch SET {column} = {column} + {much} WHERE size = {size}"
        " AND last_id = 4096": f"the {which} step of the {size} ids through 4096"
        for size in (256, 4096)
        for which in ("first", "low", "high")
        for column, much in (
            (f"{which}_at", "interval '1 us'"),
            (f"{which}_after", "1"),
            (f"{which}_move", "1"),
            (f"{which}_sum", "1"),
        )
    },
    **{
        f"UPDATE tally.stretch SET {column} = {column} + {much}"
        " WHERE size = 256 AND last_id = 768": "the last step of the 256 ids through 768"
        for column, much in (("last_at", "interval '1 us'"), ("last_sum", "1"))
    },
}


@pytest.mark.parametrize("change", HISTORY_DRIFTS)
async def test_drift_of_history_is_found(long_story, owner, drift, change):
    await owner.execute(change)
    assert (await drift()).startswith(HISTORY_DRIFTS[change])


async def test_history_is_right_after_a_purge(long_story, resets, owner, connect, drift):
    await resets.reset()
    await owner.execute("UPDATE tally.reset SET at = at - interval '2 days' WHERE id <= 5")
    await purge(connect("postgres"), timedelta(0))
    assert await owner.fetchval("SELECT count(*) FROM tally.stretch") == 0
    assert await drift() is None


async def test_history_is_right_where_a_reset_came_between_stretches(
    writer, resets, owner, connect, drift
):
    await writer.add([ONE])
    await writer.add([ONE] * 255)
    await resets.reset()
    await writer.add([ONE] * 256)
    assert await owner.fetchval("SELECT count(*) FROM tally.stretch") == 2
    assert await drift() is None
    await resets.reset()
    await purge(connect("postgres"), timedelta(0))
    await writer.add([-ONE] * 256)
    assert await owner.fetchval("SELECT count(*) FROM tally.stretch") == 1
    assert await drift() is None


async def test_each_stretch_of_stretches_is_made_of_its_own(writer, owner, drift):
    await writer.add([ONE] * 4096)
    await writer.add([-ONE] * 4096)
    assert await owner.fetchval("SELECT count(*) FROM tally.stretch WHERE size = 4096") == 2
    assert await drift() is None
