"""A read shows what was, while it was being read."""

import pytest

from faults.history import Fault, Leader
from tests.support.model_history import Run

OLDER = {"sum": "0.1", "count": 1, "last_id": 1}  # what the total was until a second before


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (3, {"sum": "0.30000000000000004"}),
        (3, {"sum": 0.3}),
        (3, {"count": 1}),
        (3, {"sum": "0.2", "last_id": 2}),  # the sum of none of the first entries
        (3, {"sum": "0.1", "count": 1, "last_id": 1}),  # an acknowledged add is missing
        (3, {"sum": "12.550000001", "count": 6, "last_id": 6}),  # not yet sent by anybody
        (3, {"last_id": 99}),
        (6, {"sum": "2.3", "count": 3, "last_id": 3}),  # half a batch
        (15, {"sum": "24.550000001", "count": 7}),  # the reset is missing
        (18, {"sum": "37.550000001", "count": 8}),  # as if undone already
        (20, {"sum": "13", "count": 1}),  # the undo is missing
    ],
)
def test_a_total_that_was_not_the_total_then(run, number, told):
    run.change_answer(number, **told)
    assert run.findings() == {"sums_existed"}


def test_a_read_may_see_any_state_there_was_while_it_waited(run):
    after = run.attempts[14].answer
    run.change(15, sent=13.7, ended=19.9, answer={"sum": "24.550000001", "count": 7, "last_id": 7})
    assert run.findings() == set()
    run.change_answer(15, **after)
    assert run.findings() == set()
    run.change_answer(15, sum="13", count=1, last_id=8)
    assert run.findings() == set()
    run.change_answer(15, sum="13", count=1, last_id=7)
    assert run.findings() == {"sums_existed"}


@pytest.mark.parametrize(
    ("number", "page"),
    [
        (13, []),
        (13, [(7, "12", "24.550000001"), (5, "3.000000001", "5.550000001")]),
        (13, [(7, "12", "24.55")]),
        (13, [(6, "7", "12.550000001")]),
        (13, [(8, "13", "13")]),
        (13, [(99, "12", "24.550000001")]),
        (16, [(7, "12", "24.550000001")]),
        (21, []),
    ],
)
def test_a_page_that_was_not_the_newest_then(run, number, page):
    names = ("id", "value", "sum_after")
    run.change_answer(number, entries=[dict(zip(names, row, strict=True)) for row in page])
    assert run.findings() == {"entries_existed"}


@pytest.mark.parametrize(
    ("sent", "ended", "resets"),
    [
        (26, 26.5, []),
        (26, 26.5, [(1, "24.550000001", 7)]),  # the newest was acknowledged before
        (14.7, 15, [(2, "70.550000001", 11), (1, "24.550000001", 7)]),  # not sent yet
        (26, 26.5, [(2, "70.55", 11), (1, "24.550000001", 7)]),
        (26, 26.5, [(2, 70.550000001, 11), (1, "24.550000001", 7)]),
        (26, 26.5, [(2, "70.550000001", 11), (1, "24.550000001", 8)]),
        (26, 26.5, [(3, "0", 0), (2, "70.550000001", 11)]),
        (26, 26.5, [(1, "24.550000001", 7), (2, "70.550000001", 11)]),
    ],
)
def test_a_list_of_resets_that_was_not_the_list_then(run, sent, ended, resets):
    page = [dict(zip(("id", "sum", "count"), row, strict=True)) for row in resets]
    run.change(26, sent=sent, ended=ended, answer={"resets": page})
    assert run.findings() == {"resets_existed"}


def test_a_list_of_resets_may_be_of_any_moment_while_it_waited(run):
    run.change(26, sent=13.7)
    for listed in (run.attempts[25].answer["resets"], run.attempts[25].answer["resets"][1:], []):
        run.change(26, answer={"resets": listed})
        assert run.findings() == set()


def test_a_read_that_goes_back_though_nobody_was_told_of_the_change(run):
    run = Run()
    run.add("1")
    run.add_unheard("2", stored=True)
    run.read()
    run.read()
    older = {"sum": "1", "count": 1, "last_id": 1}
    run.change(4, answer=older)
    assert run.findings() == {"monotonic_reads"}
    run.change(4, service="display-2")
    assert run.findings() == set()
    run.change(4, service="display-1", sent=3.4)  # at the same time, any order will do
    assert run.findings() == set()


def test_a_reset_that_was_seen_is_not_unseen():
    run = Run()
    run.add("1")
    run.reset()
    run.change(2, status=None, answer=None)
    run.read()
    run.list()
    run.read()
    assert run.findings() == set()
    run.change_answer(5, sum="1", count=1)
    assert run.findings() == {"monotonic_reads"}


def test_a_read_of_a_standby_may_be_as_old_as_it_says(run):
    run.change_answer(3, **OLDER, behind_seconds=0.4)
    assert run.findings() == {"sums_existed"}
    run.change_answer(3, behind_seconds=1.4)
    assert run.findings() == set()


def test_a_page_of_a_standby_may_be_as_old_as_it_says(run):
    page = [{"id": 7, "value": "12", "sum_after": "24.550000001"}]
    run.change_answer(16, entries=page, behind_seconds=0.4)
    assert run.findings() == {"entries_existed"}
    run.change_answer(16, behind_seconds=3.0)
    assert run.findings() == set()


def test_reads_of_a_standby_go_back_no_further_than_they_say(run):
    run = Run()
    run.add("1")
    run.add_unheard("2", stored=True)
    run.read()
    run.read()
    run.change(4, answer={"sum": "1", "count": 1, "last_id": 1, "behind_seconds": 0.2})
    assert run.findings() == {"monotonic_reads"}
    run.change_answer(4, behind_seconds=1.0)
    assert run.findings() == set()


def test_a_primary_shows_a_commit_after_its_standby():
    run = Run()
    run.add("1")
    run.add_unheard("2", stored=True)
    run.read()
    run.read()
    run.change(4, answer={"sum": "1", "count": 1, "last_id": 1})
    assert run.findings() == {"monotonic_reads"}
    run.change_answer(3, behind_seconds=0.0)
    assert run.findings() == set()
    run.change_answer(4, behind_seconds=0.0)
    assert run.findings() == {"monotonic_reads"}


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (3, OLDER),  # a leader that was replaced, and does not know it yet
        (3, {"sum": "5.3", "count": 3, "last_id": 3}),  # what was not yet durable
        (13, {"entries": [{"id": 8, "value": "5", "sum_after": "29.550000001"}]}),
        (13, {"entries": [{"id": 7, "value": "5", "sum_after": "17.550000001"}]}),
    ],
)
def test_a_failover_may_undo_what_was_seen(run, number, told):
    run.change_answer(number, **told)
    assert run.findings()
    sent = run.attempts[number - 1].sent
    run.others.append(Fault("leader killed", sent - 1.2, sent + 5, 0.0, whole=sent + 5))
    assert run.findings(), "nobody else has led"
    run.others.append(Leader("node-2", sent + 0.1))
    assert run.findings() == set()


def test_a_failover_makes_no_read_of_a_standby_younger(run):
    """It may be older than the failover: what it says of its age goes on to hold."""
    run.change_answer(3, **OLDER, behind_seconds=1.4)
    sent = run.attempts[2].sent
    run.others += [
        Fault("leader killed", sent + 0.9, sent + 1.5, sent + 1.5, whole=sent + 5),
        Leader("node-2", sent + 1.2),
    ]
    assert run.findings() == set()


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (6, {"sum": "9", "count": 1, "last_id": 1}),  # less than was acknowledged before
        (6, {"sum": "0.1", "count": 1, "last_id": 1}),
        (13, {"entries": [{"id": 2, "value": "0.2", "sum_after": "0.9"}]}),
    ],
)
def test_a_failover_undoes_nothing_that_was_acknowledged(run, number, told):
    run.change_answer(number, **told)
    sent = run.attempts[number - 1].sent
    run.others += [
        Fault("leader killed", sent + 0.1, sent + 0.2, sent + 0.2, whole=sent + 1),
        Leader("node-2", sent + 0.15),
    ]
    assert run.findings()
