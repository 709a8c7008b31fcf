"""What a value may be, and that reading and writing it never changes it."""

from decimal import Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.amount import InvalidAmount, format_amount, parse_number, parse_text

UNITS = 10**9
LARGEST = 10**27 - 1
EXACT = Context(prec=100)

amounts = st.integers(-LARGEST, LARGEST)
sums = st.integers(-(10**38) + 1, 10**38 - 1)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("12.5", 12_500_000_000),
        ("-3", -3 * UNITS),
        ("+3", 3 * UNITS),
        (".5", 500_000_000),
        ("-.5", -500_000_000),
        ("-0", 0),
        ("-0.0", 0),
        ("000012", 12 * UNITS),
        ("0.000000001", 1),
        ("-0.000000001", -1),
        ("0.100000000", 100_000_000),
        ("999999999999999999.999999999", LARGEST),
        ("-999999999999999999.999999999", -LARGEST),
        ("000000000000000001", UNITS),
    ],
)
def test_a_text_is_read_exactly(text, units):
    assert parse_text(text) == units


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("\n", "empty"),
        ("abc", "not-a-number"),
        ("NaN", "not-finite"),
        ("-nan", "not-finite"),
        ("Infinity", "not-finite"),
        ("-inf", "not-finite"),
        ("1000000000000000000", "too-large"),
        ("0000000000000000001", "too-large"),
        ("-1000000000000000000.5", "too-large"),
        ("1.0000000000", "too-precise"),
        ("0.0000000001", "too-precise"),
        (".1234567891", "too-precise"),
        ("-0.123456789012345678", "too-precise"),
        ("999999999999999999.", "not-a-number"),
        ("1.", "not-a-number"),
        (".", "not-a-number"),
        ("+", "not-a-number"),
        ("-", "not-a-number"),
        ("+-1", "not-a-number"),
        ("1_000", "not-a-number"),
        ("1,000", "not-a-number"),
        ("1 000", "not-a-number"),
        ("1e3", "not-a-number"),
        ("0x10", "not-a-number"),
        ("1.2.3", "not-a-number"),
        (" 1", "not-a-number"),
        ("1 ", "not-a-number"),
        ("1\n", "not-a-number"),
        ("1\0", "not-a-number"),
        ("\u0661\u0662", "not-a-number"),  # Arabic-Indic digits
        ("\uff11", "not-a-number"),  # a full-width digit
        ("\u2212" + "1", "not-a-number"),  # a typographic minus
    ],
)
def test_a_text_that_breaks_a_rule_is_refused_with_the_rule_s_name(text, rule):
    with pytest.raises(InvalidAmount) as refusal:
        parse_text(text)
    assert refusal.value.rule == rule
    assert str(refusal.value).startswith("must ")


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("-0", 0),
        ("0.0", 0),
        ("0e999999999999", 0),
        ("0e-999999999999", 0),
        ("12.5", 12_500_000_000),
        ("1e3", 1000 * UNITS),
        ("1E+3", 1000 * UNITS),
        ("1.5e-8", 15),
        ("100e-11", 1),
        ("1.0000000000", UNITS),
        ("0.00000000010e1", 1),
        ("1e-000000000000009", 1),
        ("10e16", 10**17 * UNITS),
        ("999999999999999999.999999999", LARGEST),
        ("999999999999999999999999999e-9", LARGEST),
        ("0.1", 100_000_000),
        # A float would make 9007199254740992 of this.
        ("9007199254740993", 9007199254740993 * UNITS),
    ],
)
def test_a_number_is_read_for_its_value(text, units):
    assert parse_number(text) == units


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("1e18", "too-large"),
        ("-1e18", "too-large"),
        ("1000000000000000000", "too-large"),
        ("1e99999999999999999999", "too-large"),
        ("1e" + "9" * 5000, "too-large"),
        ("1e-10", "too-precise"),
        ("0.0000000001", "too-precise"),
        ("12345.1234567891", "too-precise"),
        ("1e-99999999999999999999", "too-precise"),
        ("1e-" + "9" * 5000, "too-precise"),
        ("", "not-a-number"),
        ("01", "not-a-number"),
        ("+1", "not-a-number"),
        (".5", "not-a-number"),
        ("1.", "not-a-number"),
        ("1e", "not-a-number"),
        ("NaN", "not-a-number"),
        ("-Infinity", "not-a-number"),
        ("0x1", "not-a-number"),
        ("\u0661", "not-a-number"),
        ("1\n", "not-a-number"),
    ],
)
def test_a_number_that_breaks_a_rule_is_refused_with_the_rule_s_name(text, rule):
    with pytest.raises(InvalidAmount) as refusal:
        parse_number(text)
    assert refusal.value.rule == rule


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (0, "0"),
        (12_500_000_000, "12.5"),
        (-3 * UNITS, "-3"),
        (1, "0.000000001"),
        (-1, "-0.000000001"),
        (-500_000_000, "-0.5"),
        (1000 * UNITS, "1000"),
        (10**38 - 1, "99999999999999999999999999999.999999999"),
    ],
)
def test_an_amount_is_written_in_canonical_notation(units, text):
    assert format_amount(units) == text


@given(sums)
def test_what_is_written_is_the_amount_to_the_last_digit(units):
    assert Fraction(format_amount(units)) == Fraction(units, UNITS)


@given(amounts)
def test_what_is_written_is_read_back(units):
    text = format_amount(units)
    assert parse_text(text) == units
    assert parse_number(text) == units


@given(amounts, st.integers(-30, 30), st.sampled_from("eE"))
def test_a_number_means_the_same_however_it_is_written(units, shift, letter):
    mantissa = EXACT.scaleb(Decimal(units), shift)
    assert parse_number(f"{mantissa:f}{letter}{-shift - 9}") == units


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
)
def test_a_number_is_exact_or_refused(text):
    value = Fraction(Decimal(text))
    allowed = abs(value) < 10**18 and (value * UNITS).denominator == 1
    try:
        assert Fraction(parse_number(text), UNITS) == value
        assert allowed
    except InvalidAmount as refusal:
        assert not allowed
        assert refusal.rule == ("too-large" if abs(value) >= 10**18 else "too-precise")  # noqa: PT017


@given(st.text(alphabet="0123456789+-._,eExn \u0661", max_size=30))
def test_any_text_is_an_amount_or_is_refused(text):
    try:
        units = parse_text(text)
    except InvalidAmount:
        return
    assert Fraction(units, UNITS) == Fraction(Decimal(text))
    assert abs(units) <= LARGEST
