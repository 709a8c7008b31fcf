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
from tally.pages.chart import Chart, Mark, Point

START = datetime(2026, 11, 24, 9, 58, 12, 345678, UTC)
UNIT = 10**9

moments = st.datetimes(timezones=st.just(UTC))
sums = st.integers(-(10**38) + 1, 10**38 - 1).map(Amount)
points_at_any_time = st.lists(st.builds(Point, moments, st.integers(1, 10**12), sums), max_size=30)
marks = st.lists(st.builds(Mark, moments, st.integers(1, 99), st.booleans()), max_size=5)
charts = st.tuples(st.tuples(moments, moments).map(sorted), sums, points_at_any_time, marks).map(
    lambda parts: Chart(*parts[0], *parts[1:])
)


def of(*values, gap=timedelta(minutes=7), before=0, marks=()):
    """A chart that begins with its first point and ends with its last."""
    points = [
        Point(START + gap * index, index + 1, Amount(value * UNIT))
        for index, value in enumerate(values)
    ]
    return Chart(points[0].at, points[-1].at, Amount(before * UNIT), points, marks)


def drawn(asked):
    return ET.fromstring(chart.svg(asked))


def texts(picture, kind):
    return ["".join(text.itertext()) for text in picture.iter("text") if text.get("class") == kind]


def line(picture):
    path = next(path for path in picture.iter("path") if path.get("class") == "line")
    return path.get("d")


def level_positions(picture):
    return [int(text.get("y")) for text in picture.iter("text") if text.get("class") == "level"]


@given(charts)
def test_every_coordinate_is_a_plain_number_inside_the_picture(asked):
    picture = drawn(asked)
    for element in picture.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "dx"):
            value = element.get(name)
            if value is not None:
                assert re.fullmatch(r"-8|[0-9]+(\.[0-9]+)?%?", value)
                assert float(value.rstrip("%")) <= (100 if value.endswith("%") else 300)
    assert re.fullmatch(r"M0 [0-9]+(H[0-9]+V[0-9]+)*H10000", line(picture))
    assert all(0 <= int(number) <= 10_000 for number in re.findall(r"[0-9]+", line(picture)))


@given(charts.filter(lambda asked: asked.points))
def test_the_description_is_exact(asked):
    words = drawn(asked).find("desc").text
    ordered = sorted(point.sum for point in asked.points)
    assert words.startswith(f"From {shown(asked.before)} on ")
    assert f" to {shown(asked.points[-1].sum)} on " in words
    assert f" Lowest {shown(ordered[0])} on " in words
    assert f" highest {shown(ordered[-1])} on " in words


def shown(amount):
    return format_amount(amount).replace("-", "\N{MINUS SIGN}")


@given(charts)
def test_labels_are_exact_equally_spaced_and_enclose_the_sums(asked):
    labels = texts(drawn(asked), "level")
    levels = [exact_units(label) for label in labels]
    totals = [asked.before, *(point.sum for point in asked.points)]
    assert levels[0] <= min(totals)
    assert levels[-1] >= max(totals)
    assert 1 <= len(levels) <= 6
    assert len({high - low for low, high in pairwise(levels)}) <= 1
    assert [shown(Amount(level)) for level in levels] == labels


@given(charts)
def test_a_script_reads_each_step_where_it_is_drawn(asked):
    steps = [step.split(" ") for step in drawn(asked).get("data-points").split(";")]
    assert [step[4] for step in steps] == [
        format_amount(total) for total in (asked.before, *(point.sum for point in asked.points))
    ]
    assert [step[3] for step in steps] == ["0", *(str(point.id) for point in asked.points)]
    places = re.findall(r"(?:M|H)([0-9]+)[ V]([0-9]+)", line(drawn(asked)))
    assert [tuple(step[:2]) for step in steps] == places


def exact_units(label):
    whole, _, fraction = label.replace("\N{MINUS SIGN}", "-").partition(".")
    return int(whole + fraction.ljust(9, "0"))


@given(charts)
def test_there_are_a_handful_of_time_labels(asked):
    assert 0 <= len(texts(drawn(asked), "time")) <= 6


@given(charts)
def test_the_line_never_goes_back_in_time(asked):
    places = [int(x) for x in re.findall(r"H([0-9]+)", line(drawn(asked)))]
    assert places == sorted(places)


def test_a_difference_of_one_billionth_shows_beside_a_huge_sum():
    huge = 10**38 - 10
    points = [Point(START + timedelta(seconds=n), n, Amount(huge + n)) for n in range(3)]
    picture = drawn(Chart(START, points[-1].at, Amount(huge), points))
    assert line(picture) == "M0 10000H0V10000H5000V5000H10000V0H10000"
    assert texts(picture, "level") == [
        "99999999999999999999999999999.99999999",
        "99999999999999999999999999999.999999991",
        "99999999999999999999999999999.999999992",
    ]


def test_where_nothing_came_the_line_is_level():
    asked = Chart(START, START + timedelta(hours=1), Amount(7 * UNIT), [])
    picture = drawn(asked)
    assert line(picture) == "M0 5000H10000"
    assert texts(picture, "level") == ["7"]
    assert "Lowest" not in picture.find("desc").text


def test_the_first_entry_is_a_rise_from_zero():
    picture = drawn(of(40, 40))
    assert line(picture) == "M0 10000H0V0H10000V0H10000"
    assert shade(picture) == line(picture) + "V10000H0Z"


@pytest.mark.parametrize(
    ("values", "before", "shaded_to"),
    [((0, 5), 0, 10_000), ((-2, 3), 0, 6667), ((101, 100), 99, None), ((-9, -8), -7, None)],
)
def test_an_area_begins_at_zero_or_there_is_none(values, before, shaded_to):
    found = shade(drawn(of(*values, before=before)))
    assert found is None if shaded_to is None else found.endswith(f"V{shaded_to}H0Z")


def shade(picture):
    return next(
        (path.get("d") for path in picture.iter("path") if path.get("class") == "shade"), None
    )


def test_points_of_one_instant_are_one_rise():
    assert line(drawn(of(0, 2, 4, gap=timedelta(0)))).count("H5000") == 3


def test_resets_and_undos_are_marked_where_they_were():
    later = START + timedelta(minutes=7)
    asked = of(1, 2, 3, marks=[Mark(later, 4, undo=False), Mark(START, 3, undo=True)])
    found = [
        (group.get("class"), group.find("line").get("x1"), group.find("title").text)
        for group in drawn(asked).iter("g")
        if group.get("class").startswith("mark")
    ]
    assert found == [
        ("mark reset", "50.00%", "Reset 4, 24 Nov 2026 10:05:12 UTC"),
        ("mark undo", "0.00%", "Reset 3 was undone, 24 Nov 2026 09:58:12 UTC"),
    ]
    assert "Resets: 1, undone: 1." in drawn(asked).find("desc").text


@pytest.mark.parametrize(
    ("values", "zero"), [((-2, 3), True), ((0, 5), True), ((100, 101), False), ((-9, -8), False)]
)
def test_the_zero_line_shows_where_zero_is_in_range(values, zero):
    asked = of(*values, before=values[0])
    kinds = [mark.get("class") for mark in drawn(asked).iter("line")]
    assert ("zero" in kinds) == zero


@pytest.mark.parametrize(
    ("last", "gutter", "x"), [(3, "narrow", "-8"), (9000, "medium", "-8"), (10**20, "none", "0")]
)
def test_labels_stand_beside_the_plot_where_there_is_room(last, gutter, x):
    picture = drawn(of(0, last))
    assert picture.get("class") == f"chart gutter-{gutter}"
    labels = [text for text in picture.iter("text") if text.get("class") == "level"]
    assert {label.get("x") for label in labels} == {x}


def test_higher_levels_are_higher_up():
    positions = level_positions(drawn(of(0, 1000)))
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
    assert texts(drawn(of(1, 2, gap=span)), "time")[:3] == labels


def test_a_clock_set_back_does_not_fold_the_line():
    points = [
        Point(START + timedelta(seconds=second), number, Amount(number * UNIT))
        for number, second in enumerate((0, 10, 5, 20))
    ]
    asked = Chart(START, points[-1].at, Amount(0), points)
    assert re.findall(r"H([0-9]+)", line(drawn(asked))) == ["0", "5000", "5000", "10000", "10000"]


def test_it_has_a_name_apart_from_its_description():
    picture = ET.fromstring(chart.svg(of(1, 2), name="other"))
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == picture.find("title").get("id") == "other-title"
    assert picture.get("aria-describedby") == picture.find("desc").get("id") == "other-desc"
    assert picture.find("title").text == "Total over time"
