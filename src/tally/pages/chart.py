"""The total over time, as a picture of bounded size.

Every position is worked out in whole numbers, so sums of 38 digits keep their differences and no
coordinate can be NaN. Widths are percentages and heights pixels: the picture stretches to its
place while its text keeps its size.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from markupsafe import Markup

from tally.amount import Amount, format_amount
from tally.pages.text import groups, minus

_SCALE: Final = 10_000  # the plot's own coordinates, both ways
_TOP: Final = 26
_PLOT_HEIGHT: Final = 216
_HEIGHT: Final = 276
_TIME_LABEL_Y: Final = _TOP + _PLOT_HEIGHT + 22
# The most characters of a label for which the style sheet keeps each width free.
_GUTTERS: Final = ((3, "narrow"), (6, "medium"), (9, "wide"))
_LEVEL_STEPS: Final = 4
_TIME_STEPS: Final = 5
_EDGE: Final = _SCALE // 10

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MILLISECOND: Final = 1_000
_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_MONTH: Final = 30 * _DAY  # only to choose a step by
_YEAR_MONTHS: Final = 12
_CLOCK_STEPS: Final = (
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 4, 7, 14)),
)
_MONTH_STEPS: Final = (1, 2, 3, 6, 12)
_MONTH_NAMES: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"


class Point(NamedTuple):
    """The total right after a step at `at` (with a time zone), which is the entry `id` or came
    right after that."""

    at: datetime
    id: int
    sum: Amount


class Mark(NamedTuple):
    """A reset, or the undo of one."""

    at: datetime
    reset_id: int
    undo: bool


class Chart(NamedTuple):
    """The total from one time to another: `before` until the first of the points, in order."""

    since: datetime
    until: datetime
    before: Amount
    points: Sequence[Point]
    marks: Sequence[Mark] = ()


class _Tick(NamedTuple):
    at: int  # microseconds since the epoch
    label: str
    form: str  # for a script that knows the viewer's time zone


class _Range(NamedTuple):
    low: int
    high: int

    def scaled(self, value: int) -> int:
        """Place a value of the range between 0 and the plot's size; in the middle if it's all."""
        if self.low == self.high:
            return _SCALE // 2
        return (value - self.low) * _SCALE // (self.high - self.low)


def svg(chart: Chart, *, name: str = "chart") -> Markup:
    """Draw a chart as steps; `name` starts the ids that tie it to its name and description.

    `data-points` has, for a script, each step's place in the plot, time in milliseconds, id and
    total.
    """
    times = _Range(_moment(chart.since), _moment(chart.until))
    sums = [chart.before, *(point.sum for point in chart.points)]
    levels = _levels(min(sums), max(sums))
    heights = _Range(levels[0], levels[-1])
    moments = _moments(times, chart.points)
    places = [0, *map(times.scaled, moments)]
    corners = [(x, _SCALE - heights.scaled(total)) for x, total in zip(places, sums, strict=True)]
    gutter = _gutter(levels)
    body = Markup("").join(
        [
            *(_gridline(level, heights) for level in levels),
            *(_time_mark(tick, index, times) for index, tick in enumerate(_ticks(times))),
            *(_level_label(level, heights, beside=gutter != "none") for level in levels),
            _line(corners, heights),
            *(_mark(mark, times) for mark in chart.marks),
            _last_dot(corners[-1]),
        ]
    )
    return Markup(
        '<svg class="chart gutter-{gutter}" role="img" aria-labelledby="{name}-title"'
        ' aria-describedby="{name}-desc" width="100%" height="{height}" overflow="visible"'
        ' data-points="{points}"><title id="{name}-title">Total over time</title>'
        '<desc id="{name}-desc">{words}</desc>{body}</svg>'
    ).format(
        gutter=gutter,
        name=name,
        height=_HEIGHT,
        points=_for_script(corners, [times.low, *moments], chart),
        words=description(chart),
        body=body,
    )


def description(chart: Chart) -> str:
    """Say in words what the picture shows, exactly."""
    end = chart.points[-1].sum if chart.points else chart.before
    words = (
        f"From {_told(chart.before)} on {_minute(chart.since)}"
        f" to {_told(end)} on {_minute(chart.until)}, UTC."
    )
    if chart.points:
        low, high = extremes(chart)
        words += (
            f" Lowest {_told(low.sum)} on {_minute(low.at)},"
            f" highest {_told(high.sum)} on {_minute(high.at)}."
        )
    if chart.marks:
        resets = sum(not mark.undo for mark in chart.marks)
        words += f" Resets: {resets}, undone: {len(chart.marks) - resets}."
    return words


def extremes(chart: Chart) -> tuple[Point, Point]:
    """Find the first lowest and the first highest of the points."""
    key = _sum_of
    return min(chart.points, key=key), max(chart.points, key=key)


def _sum_of(point: Point) -> Amount:
    return point.sum


def _told(total: Amount) -> str:
    return minus(format_amount(total))


def _minute(at: datetime) -> str:
    utc = at.astimezone(UTC)
    return f"{utc.day} {_month_name(utc)} {utc:%Y %H:%M:%S}"


def _for_script(corners: list[tuple[int, int]], moments: list[int], chart: Chart) -> str:
    told = [(0, chart.before), *((point.id, point.sum) for point in chart.points)]
    return ";".join(
        f"{x} {y} {moment // _MILLISECOND} {entry_id} {format_amount(total)}"
        for (x, y), moment, (entry_id, total) in zip(corners, moments, told, strict=True)
    )


def _moment(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _moments(times: _Range, points: Sequence[Point]) -> list[int]:
    """Turn times into microseconds, never going back: a clock set back must not fold the line."""
    latest, moments = times.low, []
    for point in points:
        latest = min(max(_moment(point.at), latest), times.high)
        moments.append(latest)
    return moments


def _levels(low: int, high: int) -> list[int]:
    """Choose round amounts, in equal steps, of which the outermost enclose low and high."""
    if low == high:
        return [low]
    step = _round_step(-(-(high - low) // _LEVEL_STEPS))
    return list(range(low // step * step, high + step, step))


def _round_step(least: int) -> int:
    """Find the smallest of 1, 2, 5, 10, 20, 50... that is at least `least`."""
    power: int = 10 ** (len(str(least)) - 1)
    return next(power * n for n in (1, 2, 5, 10) if power * n >= least)


def _gridline(level: int, sums: _Range) -> Markup:
    kind = "zero" if level == 0 else "grid"
    return Markup('<line class="{0}" x1="0" x2="100%" y1="{1}" y2="{1}"/>').format(
        kind, _level_y(level, sums)
    )


def _level_label(level: int, sums: _Range, *, beside: bool) -> Markup:
    whole, fraction = groups(format_amount(Amount(level)))
    first, *rest = whole
    x, drop, anchor = (-8, 4, "end") if beside else (0, -6, "start")
    return Markup('<text class="level" x="{}" y="{}" text-anchor="{}">{}{}</text>').format(
        x,
        _level_y(level, sums) + drop,
        anchor,
        minus(first),
        Markup("").join(
            Markup('<tspan dx="{}">{}</tspan>').format(0 if part.startswith(".") else 2, part)
            for part in [*rest, *fraction]
        ),
    )


def _gutter(levels: list[int]) -> str:
    """Name the room left of the plot for labels; labels too long for any stand inside the plot."""
    longest = max(len(format_amount(Amount(level))) for level in levels)
    return next((name for most, name in _GUTTERS if longest <= most), "none")


def _level_y(level: int, sums: _Range) -> int:
    return _TOP + (_SCALE - sums.scaled(level)) * _PLOT_HEIGHT // _SCALE


def _line(corners: list[tuple[int, int]], heights: _Range) -> Markup:
    first, *others = corners
    steps = f"M0 {first[1]}" + "".join(f"H{x}V{y}" for x, y in others) + f"H{_SCALE}"
    # An area means something only where it begins at zero.
    shade = Markup("")
    if heights.low <= 0 <= heights.high:
        shade = Markup('<path class="shade" d="{}V{}H0Z"/>').format(
            steps, _SCALE - heights.scaled(0)
        )
    return Markup(
        '<svg x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 {scale} {scale}"'
        ' preserveAspectRatio="none" overflow="visible">{shade}'
        '<path class="line" d="{steps}" fill="none" vector-effect="non-scaling-stroke"/></svg>'
    ).format(top=_TOP, height=_PLOT_HEIGHT, scale=_SCALE, steps=steps, shade=shade)


def _mark(mark: Mark, times: _Range) -> Markup:
    x = times.scaled(min(max(_moment(mark.at), times.low), times.high))
    return Markup(
        '<g class="mark {kind}"><line x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
        '<circle cx="{x}" cy="{top}" r="4"/>'
        "<title>{words}</title></g>"
    ).format(
        kind="undo" if mark.undo else "reset",
        x=_percent(x),
        top=_TOP - 8,
        bottom=_TOP + _PLOT_HEIGHT,
        words=f"Reset {mark.reset_id}{' was undone' if mark.undo else ''}, {_minute(mark.at)} UTC",
    )


def _last_dot(corner: tuple[int, int]) -> Markup:
    x, y = corner
    return Markup('<circle class="last" cx="{}" cy="{}" r="4"/>').format(
        _percent(x), _TOP + y * _PLOT_HEIGHT // _SCALE
    )


def _time_mark(tick: _Tick, index: int, times: _Range) -> Markup:
    x = times.scaled(tick.at)
    anchor = "start" if x < _EDGE else "end" if x > _SCALE - _EDGE else "middle"
    return Markup(
        '<g class="{0}"><line class="tick" x1="{1}" x2="{1}" y1="{2}" y2="{3}"/>'
        '<text class="time" x="{1}" y="{4}" text-anchor="{5}" data-at="{7}" data-form="{8}">{6}'
        "</text></g>"
    ).format(
        "minor" if index % 2 else "major",
        _percent(x),
        _TOP + _PLOT_HEIGHT,
        _TOP + _PLOT_HEIGHT + 6,
        _TIME_LABEL_Y,
        anchor,
        tick.label,
        tick.at // _MILLISECOND,
        tick.form,
    )


def _percent(x: int) -> str:
    return f"{x // 100}.{x % 100:02d}%"


def _ticks(times: _Range) -> list[_Tick]:
    """Choose round times within the range, a handful at most."""
    if times.low == times.high:
        return [_Tick(times.low, f"{_utc(times.low):%Y-%m-%d %H:%M:%S}", "whole")]
    least = -(-(times.high - times.low) // _TIME_STEPS)
    if least > _CLOCK_STEPS[-1]:
        return list(_month_ticks(times, least))
    step = _round_step(least) if least <= _SECOND else next(s for s in _CLOCK_STEPS if s >= least)
    moments = range(-(-times.low // step) * step, times.high + 1, step)
    one_day = moments[0] // _DAY == moments[-1] // _DAY
    form = _form(step, one_day=one_day)
    return [_Tick(moment, _clock_label(moment, step, one_day=one_day), form) for moment in moments]


def _form(step: int, *, one_day: bool) -> str:
    if step < _SECOND:
        return "fraction"
    if step < _MINUTE:
        return "seconds"
    return "days" if step >= _DAY else "minutes" if one_day else "hours"


def _clock_label(moment: int, step: int, *, one_day: bool) -> str:
    at = _utc(moment)
    if step < _SECOND:
        return f"{at:%H:%M:%S}.{at.microsecond:06d}"[: None if step % _MILLISECOND else -3]
    if step < _MINUTE:
        return f"{at:%H:%M:%S}"
    day = f"{at.day} {_month_name(at)}"
    if step >= _DAY:
        return day
    return f"{at:%H:%M}" if one_day else f"{day} {at:%H:%M}"


def _month_ticks(times: _Range, least: int) -> Iterator[_Tick]:
    months = -(-least // _MONTH)
    step = next((s for s in _MONTH_STEPS if s >= months), 0) or _YEAR_MONTHS * _round_step(
        -(-months // _YEAR_MONTHS)
    )
    first, last = _utc(times.low), _utc(times.high)
    # No calendar here has a year 0.
    start = first.year * _YEAR_MONTHS // step * step or step
    for month in range(start, last.year * _YEAR_MONTHS + last.month, step):
        at = datetime(month // _YEAR_MONTHS, month % _YEAR_MONTHS + 1, 1, tzinfo=UTC)
        moment = (at - _EPOCH) // _MICROSECOND
        if times.low <= moment:
            whole_years = step % _YEAR_MONTHS == 0
            name = "" if whole_years else f"{_month_name(at)} "
            yield _Tick(moment, f"{name}{at.year}", "years" if whole_years else "months")


def _month_name(at: datetime) -> str:
    # strftime would write it in the machine's language.
    return _MONTH_NAMES[at.month * 3 - 3 : at.month * 3]


def _utc(moment: int) -> datetime:
    return _EPOCH + moment * _MICROSECOND
