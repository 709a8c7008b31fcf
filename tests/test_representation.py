"""How what the ledger holds is written."""

import json
from datetime import UTC, datetime

from tally import representation
from tally.ledger.corrections import Undone
from tally.ledger.listing import Entry
from tally.ledger.reader import Total
from tally.ledger.resets import Reset
from tally.ledger.writer import Added

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SUM = 2 * 10**38 + 1


def test_an_add_of_one_value_says_its_id_and_its_value() -> None:
    assert representation.added(Added(7, 7, SUM, 3), 1_500_000_000) == {
        "id": 7,
        "value": "1.5",
        "sum": "200000000000000000000000000000.000000001",
        "count": 3,
    }


def test_an_add_of_several_says_which_ids_it_got() -> None:
    assert representation.added(Added(7, 9, 0, 3)) == {
        "first_id": 7,
        "last_id": 9,
        "sum": "0",
        "count": 3,
    }


def test_a_total_says_how_old_it_may_be_only_where_a_standby_was_read() -> None:
    assert representation.total(Total(-1, 2, 3)) == {
        "sum": "-0.000000001",
        "count": 2,
        "last_id": 3,
    }
    assert representation.total(Total(0, 0, 0, behind=0.0))["behind_seconds"] == 0
    assert representation.total(Total(0, 0, 0, behind=1.23456))["behind_seconds"] == 1.235


def test_a_total_in_json_is_always_that_total() -> None:
    for number in (1, 2, 1):
        total = Total(number, number, number, behind=float(number))
        assert json.loads(representation.total_json(total)) == representation.total(total)


def test_times_are_in_utc_and_have_six_digits() -> None:
    entry = representation.entry(Entry(1, 10**9, 10**9, AT))
    assert entry["added_at"] is AT
    assert representation.in_json(entry) == {
        "id": 1,
        "value": "1",
        "sum_after": "1",
        "added_at": "2026-01-02T03:04:05.000000Z",
    }


def test_an_entry_says_what_it_undoes_and_what_undid_it_only_where_something_did() -> None:
    assert representation.entry(Entry(2, 0, 0, AT, undoes=1))["undoes"] == 1
    assert representation.entry(Entry(1, 0, 0, AT, undone_by=2))["undone_by"] == 2
    assert {"undoes", "undone_by"}.isdisjoint(representation.entry(Entry(1, 0, 0, AT)))


def test_an_undo_of_an_entry_says_which() -> None:
    assert representation.undone(Undone(2, -(10**9), 0, 2, undoes=1, replayed=False)) == {
        "id": 2,
        "value": "-1",
        "sum": "0",
        "count": 2,
        "undoes": 1,
    }


def test_a_reset_that_stands_was_never_undone() -> None:
    assert representation.in_json(representation.reset(Reset(4, 10**9, 2, AT))) == {
        "id": 4,
        "sum": "1",
        "count": 2,
        "at": "2026-01-02T03:04:05.000000Z",
        "undone_at": None,
    }
