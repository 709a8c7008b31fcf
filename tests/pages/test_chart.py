"""The picture of the total: exact in what it says, bounded in what it draws."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.amount import Amount, format_amount
from tally.pages import chart
from tally.pages.chart import Point

START = datetime(2026, 11, 24, 9, 58, 12, 345678, UTC)
UNIT = 10**9

moments = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
sums = st.integers(-(10**38) + 1, 10**38 - 1).map(Amount)
histories = st.lists(st.builds(Point, moments, st.integers(1, 10**12), sums), max_size=30)


def points(*values, gap=timedelta(minutes=7)):
    return [
        Point(START + gap * index, index + 1, Amount(value * UNIT))
        for index, value in enumerate(values)
    ]


def drawn(history):
    return ET.fromstring(chart.svg(history))


def texts(picture, kind):
    return ["".join(text.itertext()) for text in picture.iter("text") if text.get("class") == kind]


def line(picture):
    path = next(path for path in picture.iter("path") if path.get("class") == "line")
    return path.get("d")


def level_positions(picture):
    return [int(text.get("y")) for text in picture.iter("text") if text.get("class") == "level"]


@given(histories)
def test_every_coordinate_is_a_plain_number_inside_the_picture(history):
    picture = drawn(history)
    for element in picture.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "dx"):
            value = element.get(name)
            if value is not None:
                assert re.fullmatch(r"-8|[0-9]+(\.[0-9]+)?%?", value)
                assert float(value.rstrip("%")) <= (100 if value.endswith("%") else 300)
    if history:
        assert re.fullmatch(r"M0 [0-9]+(H[0-9]+V[0-9]+)+H10000", line(picture))
        assert all(0 <= int(number) <= 10_000 for number in re.findall(r"[0-9]+", line(picture)))


@given(histories.filter(bool))
def test_the_description_is_exact(history):
    words = drawn(history).find("desc").text
    ordered = sorted(point.sum for point in history)
    assert f"First: {format_amount(history[0].sum)} after entry {history[0].id} " in words
    assert f"Last: {format_amount(history[-1].sum)} after entry {history[-1].id} " in words
    assert f"Lowest: {format_amount(ordered[0])}. " in words
    assert words.endswith(f"Highest: {format_amount(ordered[-1])}.")


@given(histories.filter(bool))
def test_labels_are_exact_equally_spaced_and_enclose_the_sums(history):
    labels = texts(drawn(history), "level")
    levels = [exact_units(label) for label in labels]
    assert levels[0] <= min(point.sum for point in history)
    assert levels[-1] >= max(point.sum for point in history)
    assert 1 <= len(levels) <= 6
    assert len({high - low for low, high in pairwise(levels)}) <= 1
    assert [format_amount(Amount(level)) for level in levels] == labels


def exact_units(label):
    whole, _, fraction = label.partition(".")
    return int(whole + fraction.ljust(9, "0"))


@given(histories)
def test_there_are_a_handful_of_time_labels(history):
    labels = texts(drawn(history), "time")
    assert len(labels) <= 6
    assert bool(labels) == bool(history)


@given(histories)
def test_the_line_never_goes_back_in_time(history):
    if history:
        places = [int(x) for x in re.findall(r"H([0-9]+)", line(drawn(history)))]
        assert places == sorted(places)


def test_a_difference_of_one_billionth_shows_beside_a_huge_sum():
    huge = 10**38 - 10
    history = [Point(START + timedelta(seconds=n), n, Amount(huge + n)) for n in range(3)]
    picture = drawn(history)
    assert line(picture).startswith("M0 10000H0V10000H5000V5000H10000V0")
    assert texts(picture, "level") == [
        "99999999999999999999999999999.99999999",
        "99999999999999999999999999999.999999991",
        "99999999999999999999999999999.999999992",
    ]


def test_without_points_it_says_so():
    picture = drawn([])
    assert picture.find("desc").text == "There are no entries to show."
    assert list(picture.iter("path")) == []


def test_one_point_is_a_level_line_with_its_time():
    picture = drawn(points(40))
    assert line(picture) == "M0 5000H5000V5000H10000"
    assert texts(picture, "level") == ["40"]
    assert texts(picture, "time") == ["2026-11-24 09:58:12"]


def test_two_points_are_one_step():
    assert line(drawn(points(0, 4))) == "M0 10000H0V10000H10000V0H10000"


def test_equal_sums_are_a_level_line():
    assert line(drawn(points(7, 7, 7))) == "M0 5000H0V5000H5000V5000H10000V5000H10000"


def test_points_of_one_instant_are_one_rise():
    assert line(drawn(points(0, 2, 4, gap=timedelta(0)))).count("H5000") == 3


@pytest.mark.parametrize(
    ("values", "zero"), [((-2, 3), True), ((0, 5), True), ((100, 101), False), ((-9, -8), False)]
)
def test_the_zero_line_shows_where_zero_is_in_range(values, zero):
    kinds = [mark.get("class") for mark in drawn(points(*values)).iter("line")]
    assert ("zero" in kinds) == zero


@pytest.mark.parametrize(
    ("last", "gutter", "x"), [(3, "narrow", "-8"), (9000, "medium", "-8"), (10**20, "none", "0")]
)
def test_labels_stand_beside_the_plot_where_there_is_room(last, gutter, x):
    picture = drawn(points(0, last))
    assert picture.get("class") == f"chart gutter-{gutter}"
    labels = [text for text in picture.iter("text") if text.get("class") == "level"]
    assert {label.get("x") for label in labels} == {x}


def test_higher_levels_are_higher_up():
    positions = level_positions(drawn(points(0, 1000)))
    assert positions == sorted(positions, reverse=True)


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (timedelta(microseconds=9), ["09:58:12.345678", "09:58:12.345680", "09:58:12.345682"]),
        (timedelta(milliseconds=9), ["09:58:12.346", "09:58:12.348", "09:58:12.350"]),
        (timedelta(seconds=9), ["09:58:14", "09:58:16", "09:58:18"]),
        (timedelta(hours=3), ["10:00", "11:00", "12:00"]),
        (timedelta(hours=30), ["24 Nov 12:00", "24 Nov 18:00", "25 Nov 00:00"]),
        (timedelta(days=9), ["25 Nov", "27 Nov", "29 Nov"]),
        (timedelta(days=120), ["Dec 2026", "Jan 2027", "Feb 2027"]),
        (timedelta(days=9 * 365), ["2028", "2030", "2032"]),
        (timedelta(days=160 * 365), ["2050", "2100", "2150"]),
    ],
)
def test_time_labels_fit_the_span(span, labels):
    assert texts(drawn(points(1, 2, gap=span)), "time")[:3] == labels


def test_any_number_of_points_is_bounded_and_keeps_its_extremes():
    values = [0] * 100_000
    values[31_415], values[62_831] = 900, -700
    picture = drawn(points(*values, gap=timedelta(seconds=1)))
    steps = re.findall(r"V([0-9]+)", line(picture))
    assert len(steps) <= chart.MAX_POINTS
    assert {"500", "8500"} < set(steps)
    words = picture.find("desc").text
    assert "Lowest: -700. Highest: 900." in words


def test_a_clock_set_back_does_not_fold_the_line():
    history = [
        Point(START + timedelta(seconds=second), number, Amount(number * UNIT))
        for number, second in enumerate((0, 10, 5, 20))
    ]
    assert re.findall(r"H([0-9]+)", line(drawn(history))) == ["0", "5000", "5000", "10000", "10000"]


def test_it_is_named_for_those_who_cannot_see_it():
    picture = ET.fromstring(chart.svg(points(1, 2), name="other"))
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby").split() == [
        picture.find("title").get("id"),
        picture.find("desc").get("id"),
    ]
    assert picture.find("title").get("id") == "other-title"
