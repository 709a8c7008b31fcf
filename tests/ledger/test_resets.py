"""Clearing the total, and giving back what was cleared."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tally.ledger.audit import audit
from tally.ledger.database import Database, Unavailable
from tally.ledger.migrate import migrate, upgrade
from tally.ledger.purge import purge
from tally.ledger.reader import Total
from tally.ledger.resets import NotUndoable, Resets
from tally.ledger.writer import Added, SumOutOfRange
from tests.support.postgres import PATIENCE

ONE = 10**9


async def test_a_reset_clears_the_total_and_tells_what_it_cleared(resets, writer, reader):
    await writer.add([ONE, 2 * ONE])
    before = datetime.now(UTC)
    reset, replayed = await resets.reset()
    assert (reset.id, reset.sum, reset.count, reset.undone_at) == (1, 3 * ONE, 2, None)
    assert before <= reset.at <= datetime.now(UTC)
    assert not replayed
    assert await reader.total() == Total(0, 0, 2)


async def test_adds_after_a_reset_begin_at_nought_and_go_on_with_the_ids(resets, writer):
    await writer.add([ONE])
    await resets.reset()
    assert await writer.add([5 * ONE]) == Added(2, 2, 5 * ONE, 1)


async def test_a_reset_of_nothing_changes_nothing(resets, writer, reader, drift):
    reset, replayed = await resets.reset()
    assert (reset.id, reset.sum, reset.count, replayed) == (0, 0, 0, False)
    with pytest.raises(NotUndoable):
        await resets.undo(reset.id)
    await writer.add([ONE])
    real, _ = await resets.reset()
    for _ in range(2):
        assert (await resets.reset())[0].id == 0
    assert [past.id for past in await resets.past() if past.undoable] == [real.id] == [1]
    assert (await resets.undo(real.id)).sum == ONE
    assert await reader.total() == Total(ONE, 1, 1)
    assert await drift() is None


async def test_a_key_that_cleared_nothing_never_clears_what_came_later(resets, writer, reader):
    first, _ = await resets.reset("key")
    await writer.add([ONE])
    assert await resets.reset("key") == (first, True)
    assert await reader.total() == Total(ONE, 1, 1)


async def test_resets_of_nothing_made_by_older_releases_bury_none(connect, owner):
    """Migration 0002 undoes them, which changes no sum."""
    await owner.execute("DROP SCHEMA tally CASCADE")
    database = connect("postgres")
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA tally"))
        await connection.run_sync(lambda sync: upgrade(sync, "0001"))
    await owner.execute(
        "INSERT INTO tally.entry VALUES (1, 2, 2, now());"
        "UPDATE tally.total SET last_id = 1, cleared_through = 1;"
        "INSERT INTO tally.reset VALUES"
        " (1, 2, 1, 0, 1, now()), (2, 0, 0, 1, 1, now()), (3, 0, 0, 1, 1, now())"
    )
    await migrate(database)
    assert (await audit(database)).difference is None
    resets = Resets(connect("tally_reset"))
    assert (await resets.undo(1)).sum == 2 * ONE
    assert (await audit(database)).difference is None


async def test_undo_gives_back_what_was_cleared_and_keeps_what_came_since(resets, writer, reader):
    await writer.add([ONE])
    reset, _ = await resets.reset()
    await writer.add([10 * ONE])
    before = datetime.now(UTC)
    undone = await resets.undo(reset.id)
    assert (undone.id, undone.sum, undone.count, undone.at) == (1, ONE, 1, reset.at)
    assert before <= undone.undone_at <= datetime.now(UTC)
    assert await reader.total() == Total(11 * ONE, 2, 2)
    assert (await writer.add([ONE])).sum == 12 * ONE


async def test_resets_are_undone_newest_first_and_once(resets, writer, reader, drift):
    for number in range(1, 4):
        await writer.add([number * ONE])
        await resets.reset()
    for wrong in (1, 2, 4, 0, -1, 2**63 - 1):
        with pytest.raises(NotUndoable):
            await resets.undo(wrong)
    with pytest.raises(NotUndoable, match=f"there is no reset {2**63}"):
        await resets.undo(2**63)  # more than any id
    assert (await reader.total()).sum == 0
    for number, total in ((3, 3), (2, 5), (1, 6)):
        assert not (await resets.undo(number)).undoable
        assert (await reader.total()).sum == total * ONE
        with pytest.raises(NotUndoable):
            await resets.undo(number)
    with pytest.raises(NotUndoable):
        await resets.undo(1)
    assert [reset.undoable for reset in await resets.past()] == [False] * 3
    assert await drift() is None


async def test_a_reset_after_an_undo_clears_both_parts(resets, writer, drift):
    await writer.add([ONE])
    await resets.reset()
    await writer.add([2 * ONE])
    await resets.undo(1)
    reset, _ = await resets.reset()
    assert (reset.id, reset.sum, reset.count) == (2, 3 * ONE, 2)
    assert await drift() is None


async def test_a_key_resets_once(resets, writer, reader):
    await writer.add([ONE])
    first, replayed = await resets.reset("key")
    assert not replayed
    await writer.add([2 * ONE])
    again, replayed = await resets.reset("key")
    assert replayed
    assert again == first
    assert await reader.total() == Total(2 * ONE, 1, 2)
    other, replayed = await resets.reset("other")
    assert (other.sum, replayed) == (2 * ONE, False)


async def test_a_key_is_known_whatever_clocks_said(resets, writer, owner):
    await writer.add([ONE])
    await resets.reset("key")
    await owner.execute("UPDATE tally.reset SET at = at + interval '1 hour'")
    assert (await resets.reset("key"))[1]


async def test_what_was_made_under_a_key_can_be_asked(resets, writer):
    await writer.add([ONE])
    made, _ = await resets.reset("key")
    found = await resets.made_under("key")
    assert (found.id, found.at) == (made.id, made.at)
    assert await resets.made_under("other") is None


async def test_a_key_sent_many_times_at_once_resets_once(resets, writer):
    await writer.add([ONE])
    answers = await asyncio.gather(*(resets.reset("key") for _ in range(10)))
    assert len({reset.id for reset, _ in answers}) == 1
    assert sum(not replayed for _, replayed in answers) == 1
    assert len(await resets.past()) == 1


async def test_past_resets_are_listed_newest_first_in_pages(resets, writer):
    for number in range(1, 6):
        await writer.add([number * ONE])
        await resets.reset()
    await resets.undo(5)
    past = await resets.past()
    assert [reset.id for reset in past] == [5, 4, 3, 2, 1]
    assert [reset.sum for reset in past] == [5 * ONE, 4 * ONE, 3 * ONE, 2 * ONE, ONE]
    assert [reset.undoable for reset in past] == [False, True, False, False, False]
    assert [reset.undone_at is not None for reset in past] == [True, False, False, False, False]
    assert [reset.id for reset in await resets.past(before=4, limit=2)] == [3, 2]
    assert await resets.past(before=1) == []


async def test_one_reset_can_be_looked_up(resets, writer):
    await writer.add([ONE])
    await resets.reset()
    assert (await resets.get(1)).undoable
    assert await resets.get(2) is None


async def test_an_undo_that_would_leave_the_sum_s_range_is_refused(resets, writer, owner, reader):
    await writer.add([ONE])
    await owner.set_sum("99999999999999999999999999999")
    await resets.reset()
    await owner.set_sum("1")
    with pytest.raises(SumOutOfRange):
        await resets.undo(1)
    assert (await reader.total()).sum == ONE
    assert (await resets.get(1)).undoable


async def test_what_was_purged_can_t_be_given_back(resets, writer, connect, reader):
    await writer.add([ONE])
    await resets.reset()
    await writer.add([2 * ONE])
    await purge(connect("postgres"), timedelta(0))
    assert not (await resets.get(1)).undoable
    with pytest.raises(NotUndoable, match="purged"):
        await resets.undo(1)
    assert (await reader.total()).sum == 2 * ONE


async def test_a_reset_whose_outcome_is_unknown_is_said_to_be_so(resets, owner, writer, clock):
    await writer.add([ONE])
    async with owner.holding("tally.total"):
        for change in (resets.reset("key"), resets.undo(1)):
            changing = asyncio.create_task(change)
            await owner.waited_for()
            await clock.advance(PATIENCE)
            with pytest.raises(Unavailable) as refusal:
                await changing
            assert not refusal.value.outcome_known
    reset, _ = await resets.reset("key")
    assert reset.id == 1


async def test_a_reset_that_never_began_is_known_to_have_changed_nothing(connect, owner):
    resets = Resets(connect("tally_reset", timeout=0.5))
    async with owner.outage():
        with pytest.raises(Unavailable) as refusal:
            await resets.reset()
        assert refusal.value.outcome_known
        with pytest.raises(Unavailable) as refusal:
            await resets.reset("tried-before")
        assert refusal.value.keyed
    assert await resets.past() == []


class AnswersLost(Database):
    """Commits, and then loses the connection, a few times."""

    losses = 0

    async def run(self, work, **options):
        async def lossy(connection):
            result = await work(connection)
            if self.losses:
                self.losses -= 1
                await connection.commit()
                raise ConnectionResetError
            return result

        return await super().run(lossy, **options)


@pytest.fixture
async def forgetful(ledger):
    database = AnswersLost(ledger.url("tally_reset"), timeout=PATIENCE)
    yield database
    await database.close()


async def test_a_reset_whose_answer_is_lost_is_made_once(forgetful, writer, resets):
    await writer.add([ONE])
    forgetful.losses = 2
    reset, replayed = await Resets(forgetful).reset()
    assert (reset.id, reset.sum, replayed) == (1, ONE, False)
    assert len(await resets.past()) == 1


async def test_an_undo_whose_answer_is_lost_is_no_error(forgetful, writer, resets, reader):
    await writer.add([ONE])
    await resets.reset()
    forgetful.losses = 2
    undone = await Resets(forgetful).undo(1)
    assert (undone.id, undone.sum) == (1, ONE)
    assert undone.undone_at is not None
    assert (await reader.total()).sum == ONE


async def test_a_reset_and_its_undo_write_no_entry(resets, writer, owner):
    for _ in range(5):
        await writer.add([ONE] * 10_000)
    await resets.reset()
    await resets.undo(1)
    # No entry was written since the five transactions that added them.
    assert await owner.fetchval("SELECT count(DISTINCT xmin::text) FROM tally.entry") == 5
