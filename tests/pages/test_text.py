"""Numbers and times as a page writes them."""

import re
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.amount import Amount, format_amount
from tally.pages import text

amounts = st.integers(-(10**38) + 1, 10**38 - 1).map(Amount).map(format_amount)


class Plain(HTMLParser):
    """What a copy of the markup would hold."""

    def __init__(self, markup):
        super().__init__()
        self.text = ""
        self.feed(markup)

    def handle_data(self, data):
        self.text += data


@given(amounts, st.booleans())
def test_a_copy_of_an_amount_is_the_exact_amount(number, split):
    assert Plain(text.amount(number, split=split)).text == number


@given(amounts)
def test_groups_join_to_the_number_and_hold_three_digits_at_most(number):
    whole, fraction = text.groups(number)
    assert "".join(whole + fraction) == number
    assert all(re.fullmatch(r"-?[0-9]{1,3}", group) for group in whole[:1])
    assert all(re.fullmatch(r"[0-9]{3}", group) for group in whole[1:])
    assert all(re.fullmatch(r"\.?[0-9]{1,3}", group) for group in fraction)


@given(amounts)
def test_an_amount_in_several_parts_is_announced_as_one(number):
    said = number.replace("-", "−")
    for split in (False, True):
        markup = text.amount(number, split=split)
        in_parts = markup.count("<span>") > 1 or number.startswith("-")
        assert in_parts == (f'role="img" aria-label="{said}"' in markup)


@pytest.mark.parametrize(
    ("number", "parts"),
    [
        ("0", (["0"], [])),
        ("-3", (["-3"], [])),
        ("999.5", (["999"], [".5"])),
        ("-1234567.1234", (["-1", "234", "567"], [".123", "4"])),
        ("123456", (["123", "456"], [])),
    ],
)
def test_groups_of(number, parts):
    assert text.groups(number) == parts


def test_the_fraction_of_a_short_amount_is_set_apart_only_on_request():
    assert text.amount("12.5").endswith('translate="no">12.5</data>')
    assert '<span class="fraction"><span>.5</span></span>' in text.amount("12.5", split=True)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ([], "places-0"),
        (["5", "-12"], "places-0"),
        (["5", "0.5"], "places-3"),
        (["0.125", "0.1234"], "places-6"),
        (["1.000000001"], "places-9"),
    ],
)
def test_a_table_s_numbers_have_room_for_the_longest_fraction(numbers, name):
    assert text.places(numbers) == name


def test_counts_are_written_like_amounts():
    assert Plain(text.amount(1234567)).text == "1234567"


@given(st.text())
def test_what_is_no_number_is_written_escaped_and_whole(anything):
    markup = text.amount(f"x{anything}")
    assert Plain(markup).text == f"x{anything}"
    assert markup.count("<") == 2


def test_sizes_grow_with_the_number():
    sizes = [text.size("9" * length) for length in range(1, 41)]
    assert list(dict.fromkeys(sizes)) == ["short", "medium", "long", "huge"]
    assert sizes == sorted(sizes, key=["short", "medium", "long", "huge"].index)


def test_times_are_written_in_utc():
    moment = datetime(2026, 11, 24, 1, 2, 3, 456789, timezone(timedelta(hours=2)))
    assert text.time(moment) == (
        '<time datetime="2026-11-23T23:02:03.456789Z">'
        "<span>2026-11-23</span> <span>23:02:03</span></time>"
    )
    assert "00:00:00Z" in text.time(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        text.time(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 seconds"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (7199, "1 hour"),
        (7200, "2 hours"),
    ],
)
def test_durations(seconds, words):
    assert text.duration(seconds) == words


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        (0.0, "up to date"),
        (0.999, "up to date"),
        (1.0, "up to 1 second behind"),
        (1.2, "up to 2 seconds behind"),
        (59.5, "up to 1 minute behind"),
        (75.5, "up to 2 minutes behind"),
        (3599.5, "up to 1 hour behind"),
        (3601.0, "up to 2 hours behind"),
    ],
)
def test_an_age_is_never_said_to_be_less(behind, words):
    assert text.age(behind) == f"Read from a standby, which is {words}."
