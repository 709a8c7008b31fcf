"""Undoing an entry: its opposite is added once, and both stay."""

import asyncio
from datetime import timedelta

import pytest

from tally.ledger.corrections import MAX_TOGETHER, Corrections, EntryNotUndoable
from tally.ledger.purge import purge
from tally.ledger.writer import SumOutOfRange

ONE = 10**9


async def test_the_opposite_is_added_and_both_say_so(corrections, writer, reader, drift):
    await writer.add([5 * ONE, -2 * ONE])
    undone = await corrections.undo(1)
    assert (undone.id, undone.value, undone.sum, undone.count) == (3, -5 * ONE, -2 * ONE, 3)
    assert (undone.undoes, undone.replayed) == (1, False)
    newest, other, first = (await reader.page(None, 10)).entries
    assert (newest.value, newest.undoes, newest.undone_by) == (-5 * ONE, 1, None)
    assert (first.value, first.undoes, first.undone_by) == (5 * ONE, None, 3)
    assert (other.undoes, other.undone_by) == (None, None)
    assert await drift() is None


async def test_however_often_it_is_pressed_it_counts_once(corrections, writer, reader):
    await writer.add([ONE])
    done = await asyncio.gather(*(corrections.undo(1) for _ in range(12)))
    assert {(undone.id, undone.sum, undone.count) for undone in done} == {(2, 0, 2)}
    assert sorted(undone.replayed for undone in done) == [False] + [True] * 11
    assert (await reader.total()).sum == 0


async def test_several_are_undone_together_once(corrections, writer, reader, drift):
    await writer.add([ONE, 2 * ONE, 4 * ONE, 8 * ONE])
    await corrections.undo(2)
    done = await asyncio.gather(*(corrections.undo_all(1, 3) for _ in range(5)))
    assert set(done) == {8 * ONE}
    opposites = (await reader.page(None, 3)).entries
    assert [entry.undoes for entry in opposites] == [1, 3, 2]
    assert await drift() is None


async def test_of_several_none_is_undone_if_one_can_t_be(corrections, writer, resets, owner):
    await writer.add([ONE])
    await resets.reset()
    await writer.add([ONE])
    with pytest.raises(EntryNotUndoable, match="entry 1 was cleared"):
        await corrections.undo_all(1, 2)
    with pytest.raises(EntryNotUndoable, match="there is no entry 3"):
        await corrections.undo_all(2, 3)
    assert len(await owner.entries()) == 2


async def test_as_many_as_are_allowed_fit_a_request(corrections, writer, reader):
    await writer.add([ONE] * MAX_TOGETHER)
    assert await corrections.undo_all(1, MAX_TOGETHER) == 0
    assert (await reader.total()).count == 2 * MAX_TOGETHER


async def test_the_first_answer_is_given_for_ever(corrections, writer, resets, connect):
    await writer.add([ONE])
    first = await corrections.undo(1)
    await writer.add([ONE])
    await resets.reset()
    await purge(connect("postgres"), timedelta(0))
    again = await corrections.undo(1)
    assert (again.id, again.value, again.sum, again.count) == (first.id, -ONE, 0, 2)
    assert again.replayed


async def test_an_undo_is_undone_as_any_entry_is(corrections, writer, reader, drift):
    await writer.add([ONE])
    assert (await corrections.undo(1)).sum == 0
    assert (await corrections.undo(2)).sum == ONE
    assert (await corrections.undo(1)).id == 2
    newest, undo, first = (await reader.page(None, 10)).entries
    assert (first.undone_by, undo.undoes, undo.undone_by, newest.undoes) == (2, 1, 3, 2)
    assert await drift() is None


async def test_what_is_not_there_is_refused_with_its_reason(
    corrections, writer, resets, connect, owner, drift
):
    await writer.add([ONE, ONE])
    await resets.reset()
    await writer.add([ONE])
    await resets.reset()
    await owner.execute("UPDATE tally.reset SET at = at - interval '2 days' WHERE id = 1")
    await purge(connect("postgres"), timedelta(days=1))
    for entry_id, rule, reason in (
        (0, "no-such-entry", "there is no entry 0"),
        (4, "no-such-entry", "there is no entry 4"),
        (2**63, "no-such-entry", "there is no entry"),
        (2, "entry-purged", "entry 2 was purged"),
        (3, "entry-cleared", "entry 3 was cleared by reset 2"),
    ):
        with pytest.raises(EntryNotUndoable, match=reason) as refused:
            await corrections.undo(entry_id)
        assert refused.value.rule == rule
    await resets.undo(2)
    assert (await corrections.undo(3)).sum == 0
    assert await drift() is None


async def test_a_sum_out_of_range_is_refused(corrections, writer, owner):
    await writer.add([-ONE])
    await owner.set_sum("99999999999999999999999999999")
    with pytest.raises(SumOutOfRange):
        await corrections.undo(1)
    assert len(await owner.entries()) == 1


async def test_a_lost_connection_may_just_call_again(connect, writer, owner, drift):
    await writer.add([ONE] * 20)
    corrections = Corrections(connect("tally_adder"))
    for entry_id in range(1, 21):
        undoing = asyncio.create_task(corrections.undo(entry_id))
        await owner.cut()
        assert (await undoing).undoes == entry_id
    assert len(await owner.entries()) == 40
    assert await drift() is None
