"""The chain of sums, and resets with their undoing."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from faults.history import Command
from tests.support.model_history import Run


@pytest.mark.parametrize(
    ("change", "checker"),
    [
        (lambda run: run.entries.__setitem__(8, (11, *run.entries[8][1:])), "chain"),  # a gap
        (lambda run: run.entries.__setitem__(1, (2, "0.2", "0.30000000000000004")), "chain"),
        (lambda run: run.total.update(sum=Decimal(1)), "chain"),
        (lambda run: run.total.update(count=1), "chain"),
        (lambda run: run.total.update(last_id=12), "chain"),
        (lambda run: run.total.update(cleared_through=10), "chain"),
        (lambda run: run.resets[1].update(sum="70.550000001"), "resets"),  # it lost an add
        (lambda run: run.resets[1].update(count=10), "resets"),
        (lambda run: run.resets[1].update(cleared_from=7), "resets"),
        (lambda run: run.resets[0].update(undone_after=99), "resets"),
        (lambda run: run.change_answer(14, sum="12.550000001"), "resets"),
        (lambda run: run.change_answer(14, sum=24.550000001), "resets"),
        (lambda run: run.change_answer(14, count=6), "resets"),
        (lambda run: run.change_answer(14, id=2), "resets"),
        (lambda run: run.change_answer(24, id=3), "resets"),
        (lambda run: run.change_answer(24, id=0, sum="0", count=0), "resets"),  # it cleared some
        (lambda run: run.change_answer(19, sum="37.550000001"), "resets"),
        (lambda run: run.change_answer(19, id=2), "resets"),
        (lambda run: run.attempts.pop(23), "resets"),  # nobody asked for this reset
        (lambda run: run.attempts.pop(18), "resets"),  # nor for this undo
        (lambda run: run.others.append(Command("audit", 1, 2, 1, "")), "chain"),
    ],
)
def test_a_wrong_row_or_answer_is_found(run, change, checker):
    change(run)
    assert checker in run.findings()


def test_a_reset_of_nothing_is_right_where_there_was_nothing():
    run = Run()
    run.reset()
    run.resets.clear()
    run.change_answer(1, id=0)
    assert run.findings() == set()
    run = Run()
    run.add("1")
    run.reset()
    run.resets.clear()
    run.total |= {"sum": Decimal(1), "count": 1, "cleared_through": 0}
    run.change_answer(2, id=0, sum="0", count=0)
    assert run.findings() == {"resets"}


def test_a_reset_is_undone_in_its_turn():
    run = Run()
    run.add("1")
    run.reset()
    run.add("2")
    run.reset()
    run.stack.reverse()
    run.undo()
    assert "resets" in run.findings()


def test_a_reset_that_was_retried_with_its_key_is_one():
    run = Run()
    run.add("1")
    run.reset()
    run.change(2, key="r")
    run.attempts.append(replace(run.attempts[1], sent=3.0, ended=3.5, replayed=True))
    assert run.findings() == set()
    run.change(3, key="other")
    assert run.findings() == {"resets", "replays"}
