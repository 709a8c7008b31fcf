"""Times and ranges that a query asks for."""

from datetime import UTC, datetime

import pytest

from tally.ledger.reader import Range
from tally.services.times import read_range, read_time
from tally.web.problem import Problem

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-11-24T12:00:00Z", NOON),
        ("2026-11-24t12:00:00z", NOON),
        ("2026-11-24 12:00:00Z", NOON),
        ("2026-11-24T13:00:00+01:00", NOON),
        ("2026-11-24T13:00:00 01:00", NOON),  # a plus that a query turned into a space
        ("2026-11-24T06:30:00-05:30", NOON),
        ("2026-11-24T12:00", NOON),  # as a browser's field sends it
        ("2026-11-24T12:00:00", NOON),
        ("2026-11-24T12:00:00.000001Z", NOON.replace(microsecond=1)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ],
)
def test_a_time_is_read(text, read):
    assert read_time({"at": text}, "at") == read
    assert read_time({}, "at") is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "noon",
            "2026-11-24",
            "12:00",
            "1764000000",
            "2026-11-24T12",
            "2026-11-24T12:00:00ZZ",
        ),
        *("2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-24T24:00:00Z"),
        *("2026-11-24T12:00:60Z", "2026-11-24T12:00:00.0000001Z", "2026-11-24T12:00:00+1:00"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "２０２６-11-24T12:00:00Z"),
        "2026-11-24T12:00:00Z\n",
    ],
)
def test_what_is_no_time_is_refused_by_name(text):
    with pytest.raises(Problem, match="at must be a time such as 2026-11-24T12:00:00Z") as refused:
        read_time({"at": text}, "at")
    assert (refused.value.field, refused.value.rule) == ("at", "invalid-time")


def test_a_range_has_a_name_or_times():
    assert read_range({}) == Range("all")
    assert read_range({"range": "day"}) == Range("day")
    assert read_range({"from": "2026-11-24T12:00Z"}) == Range("all", NOON)
    assert read_range({"to": "2026-11-24T12:00Z"}) == Range("all", None, NOON)


@pytest.mark.parametrize(
    ("parameters", "field", "rule"),
    [
        ({"range": "year"}, "range", "out-of-range"),
        ({"range": ""}, "range", "out-of-range"),
        ({"range": "day", "to": "2026-11-24T12:00Z"}, "range", "invalid-range"),
        ({"from": "2026-11-24T12:00Z", "to": "2026-11-24T12:00Z"}, "from", "invalid-range"),
        ({"from": "soon"}, "from", "invalid-time"),
        ({"to": "late"}, "to", "invalid-time"),
    ],
)
def test_what_is_no_range_is_refused(parameters, field, rule):
    with pytest.raises(Problem) as refused:
        read_range(parameters)
    assert (refused.value.field, refused.value.rule) == (field, rule)
