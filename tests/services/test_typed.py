"""What people type and paste is understood, or asked for, and never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.amount import Amount, InvalidAmount, format_amount, parse_text
from tally.services.typed import COMMAS, UnclearComma, read

ONE_MEANING = {
    # a lone comma
    "12,5": "12.5",
    "0,125": "0.125",
    ",5": "0.5",
    ",500": "0.5",
    "12,3456": "12.3456",
    "1234,567": "1234.567",
    "0,000": "0",
    # signs
    "\u22125": "-5",
    "\u2212 5": "-5",
    "\u20135": "-5",
    "+1 000": "1000",
    "\u200e-5\u200e": "-5",
    # spaces and apostrophes between thousands
    "1 234": "1234",
    "1\u00a0234\u202f567,8": "1234567.8",
    "1 234,567": "1234.567",
    "1 234.567": "1234.567",
    "1'000": "1000",
    "1\u2019000.5": "1000.5",
    # two separators tell each other apart
    "1,234.5": "1234.5",
    "1.234,5": "1234.5",
    "1.234,567": "1234.567",
    "1,234.567": "1234.567",
    "1,234,567": "1234567",
    "1.234.567": "1234567",
    # as the API has it
    "1.234": "1.234",
    " 12.50 ": "12.5",
}


@pytest.mark.parametrize(("typed", "value"), ONE_MEANING.items())
def test_one_meaning(typed, value):
    for comma in (None, *COMMAS):
        assert format_amount(read(typed, comma)) == value


@pytest.mark.parametrize(
    ("typed", "thousands", "point"),
    [
        ("1,000", "1000", "1"),
        ("-1,500", "-1500", "-1.5"),
        ("\u221212,345", "-12345", "-12.345"),
        ("999,999", "999999", "999.999"),
    ],
)
def test_two_meanings_are_asked_for(typed, thousands, point):
    with pytest.raises(UnclearComma):
        read(typed)
    assert [format_amount(read(typed, comma)) for comma in COMMAS] == [thousands, point]


@pytest.mark.parametrize(
    ("typed", "rule"),
    [
        ("", "empty"),
        (" \u00a0", "empty"),
        ("5,", "not-a-number"),
        (",", "not-a-number"),
        ("-", "not-a-number"),
        ("--5", "not-a-number"),
        ("5-", "not-a-number"),
        ("1,00,000", "not-a-number"),
        ("1,000,00", "not-a-number"),
        ("12 5", "not-a-number"),
        ("1  234", "not-a-number"),
        # A cell beside a cell.
        ("1\t234", "not-a-number"),
        ("1 234 5", "not-a-number"),
        ("1.234,5.6", "not-a-number"),
        ("1e3", "not-a-number"),
        ("$5", "not-a-number"),
        ("١٢", "not-a-number"),
        ("nan", "not-finite"),
        ("1,0000000001", "too-precise"),
        ("1,000,000,000,000,000,000", "too-large"),
    ],
)
def test_refused(typed, rule):
    with pytest.raises(InvalidAmount) as refused:
        read(typed)
    assert refused.value.rule == rule


@given(st.integers(-(10**27) + 1, 10**27 - 1).map(Amount), st.sampled_from(",."), st.booleans())
def test_a_number_written_in_any_country_s_way_is_that_number(amount, point, minus):
    plain = format_amount(amount)
    whole, _, fraction = plain.lstrip("-").partition(".")
    grouped = f"{int(whole):,}".replace(",", "\u00a0")
    sign = ("\u2212" if minus else "-") if plain.startswith("-") else ""
    typed = sign + grouped + (f"{point}{fraction}" if fraction else "")
    try:
        assert read(typed) == amount
    except UnclearComma:
        assert read(typed, "point") == amount


@given(st.text())
def test_whatever_the_api_takes_means_the_same_here(text):
    try:
        strict = parse_text(text)
    except InvalidAmount:
        return
    assert read(text) == strict
