"""What an acknowledged, a refused and an unanswered add may come to."""

from decimal import Decimal

import pytest

from tests.support.model_history import NO_ANSWER, Run


def set_entries(run, *values):
    """Make a ledger without resets hold other values, with ids and sums that belong to them."""
    other = Run()
    for value in values:
        other.store((value,), batch=False, key=None)
    run.entries, run.total = other.entries, other.total


@pytest.mark.parametrize(
    ("values", "checker"),
    [
        (["2", "3", "5", "6", "7"], None),
        (["2", "3", "5", "6", "7", "9", "10"], None),
        (["2", "3", "5", "6"], "durable_once"),  # an acknowledged add is lost
        (["2", "3", "6", "5", "7"], "durable_once"),  # two have changed places
        (["2", "3", "5", "6", "7", "7"], "durable_once"),  # one is counted twice
        (["2", "3", "5", "6", "7", "8"], "refused_absent"),
        (["2", "3", "5", "6", "7", "9"], "unknown_once"),  # half a batch
        (["2", "3", "5", "6", "7", "10", "9"], "unknown_once"),
        (["2", "3", "5", "6", "7", "9", "11", "10"], "unknown_once"),
        (["2", "3", "5", "6", "7", "11", "11"], "unknown_once"),
        (["2", "3", "5", "6", "7", "99"], "nothing_else"),
    ],
)
def test_what_the_ledger_may_hold(values, checker):
    run = Run()
    run.add("2")
    run.add("3", "5", "6", batch=True)
    run.add("7")
    run.refuse("8", how=0)
    run.add_unheard("9", "10", batch=True, stored=False)
    run.add_unheard("11", stored=False)
    set_entries(run, *values)
    assert run.findings() == ({checker} if checker else set())


def test_an_add_that_was_refused_as_wrong_is_absent():
    run = Run()
    run.note("add", "adder-1", values=("8",), status=422, answer={"rule": "not-a-number"})
    assert run.findings() == {"answers"}  # clients send no such adds
    run.store(("8",), batch=False, key=None)
    assert run.findings() == {"answers", "refused_absent"}


def test_a_refusal_that_was_one_attempt_of_several_says_nothing():
    run = Run()
    run.refuse("8", how=0, key="a")
    run.add_unheard("8", key="a", stored=True)
    assert run.findings() == {"keys_settle"}
    run.add("8", key="a")
    assert run.findings() == set()
    run.entries.clear()
    run.total = Run().total
    assert "durable_once" in run.findings()


def test_who_is_told_that_nothing_is_stored_under_a_key_is_told_the_truth():
    run = Run()
    run.add_unheard("8", key="a", stored=True)
    run.refuse("8", how=0, key="a")
    run.add("8", key="a")
    assert run.findings() == {"told_of_keys"}
    run.change(3, replayed=False)
    assert "told_of_keys" not in run.findings()


@pytest.mark.parametrize(
    "told",
    [
        {"sum": "0.30000000000000004"},
        {"sum": 0.3},  # a JSON number
        {"sum": "3e-1"},
        {"count": 3},
        {"id": 1},
        {"value": "0.1"},
        {"value": None},
    ],
)
def test_an_answer_to_an_add_is_exact(run, told):
    run.change_answer(2, **told)
    assert run.findings() == {"durable_once"}


def test_a_repeat_is_as_exact_as_the_first_answer(run):
    run.change_answer(12, sum="25")
    assert "durable_once" in run.findings()


def test_sums_of_more_digits_than_a_float_or_a_default_decimal_has_are_exact():
    run = Run()
    for _ in range(3):
        run.add(f"{10**17 + len(run.attempts)}.{10**8 + len(run.attempts)}")
    huge = "9" * 29
    run.resets.append(
        {"id": 1, "sum": run.entries[-1][2], "count": 3, "cleared_from": 0, "cleared_through": 3}
        | {"at": 3, "undone_at": None, "undone_after": None}
    )
    run.total |= {"sum": Decimal(huge + ".000000001"), "count": 1, "cleared_through": 3}
    run.total["last_id"] = 4
    run.note("reset", "reset-1", **NO_ANSWER)
    run.entries.append((4, huge + ".000000001", huge + ".000000001"))
    run.note("add", "adder-1", values=(huge + ".000000001",), **NO_ANSWER)
    assert run.findings() == set()
    run.total["sum"] = Decimal(huge + ".000000002")
    assert run.findings() == {"chain"}


def test_what_was_acknowledged_first_has_the_lower_id():
    run = Run()
    run.add("1")
    run.add("2")
    run.change(1, sent=3.0, ended=3.5)  # entry 1 was sent after entry 2 was acknowledged
    assert run.findings() == {"in_order"}
    run.change(2, ended=3.2)
    assert run.findings() == set()
