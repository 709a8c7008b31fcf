"""A run as a picture: what was acknowledged, what failed, and what was broken meanwhile, as SVG."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil, inf
from typing import Final
from xml.sax.saxutils import escape

from faults.history import Attempt, Fault
from faults.timeline import CREATED

_WIDTH: Final = 900
_LEFT: Final = 210  # room for the names of faults
_RIGHT: Final = 24
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_TOP: Final = 64
_ADDS_HEIGHT: Final = 150
_FAILURES_HEIGHT: Final = 80
_GAP: Final = 38  # between panels; holds the next one's title
_LANE: Final = 17
_AXIS: Final = 46
# A bar narrower than this can't be seen apart from the next.
_BAR_PIXELS: Final = 2
_MARK_PIXELS: Final = 3
_MOST_TICKS: Final = 12

_INK, _FAINT, _GRID = "#1f2933", "#52606d", "#e4e7eb"
_ADDS, _REFUSED, _UNANSWERED = "#2f6fb5", "#d98e04", "#b42318"
_BROKEN, _COMING_BACK, _BAND = "#7b3fa0", "#c9a7dd", "#f3ebf8"


# A fault, and the seconds from its healing until service was back; None if it never was.
Injected = tuple[Fault, float | None]


@dataclass(frozen=True, slots=True)
class _Rates:
    """Requests a second in bars of equal length, by what came of them."""

    began: float
    seconds: float
    bar_seconds: int
    adds: list[float]
    unavailable: list[float]
    unanswered: list[float]


def draw(attempts: Iterable[Attempt], injected: Sequence[Injected]) -> str:
    """Draw a run. Raises `ValueError` for one of less than a second."""
    rates = _rates(attempts)
    names = list(dict.fromkeys(fault.name for fault, _ in injected))
    adds_top = _TOP
    failures_top = adds_top + _ADDS_HEIGHT + _GAP
    lanes_top = failures_top + _FAILURES_HEIGHT + _GAP
    bottom = lanes_top + _LANE * len(names)
    scale = _PLOT / rates.seconds
    body = chain(
        _bands(injected, rates.began, scale, adds_top, bottom),
        _heading(),
        _panel(
            "Adds acknowledged, per second", [(_ADDS, rates.adds)], rates, adds_top, _ADDS_HEIGHT
        ),
        _panel(
            "Requests that failed, per second",
            [(_REFUSED, rates.unavailable), (_UNANSWERED, rates.unanswered)],
            rates,
            failures_top,
            _FAILURES_HEIGHT,
        ),
        _key(failures_top - 9, ((_REFUSED, "503"), (_UNANSWERED, "no answer"))),
        [_text(_LEFT, lanes_top - 9, "Faults", weight=600)],
        _key(lanes_top - 9, ((_BROKEN, "broken"), (_COMING_BACK, "until service is back"))),
        _lanes(injected, names, rates.began, scale, lanes_top),
        _time_axis(rates.seconds, scale, bottom),
    )
    height = bottom + _AXIS
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>Requests and faults over time</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        *body,
        "</svg>\n",
    ])  # fmt: skip


def _rates(attempts: Iterable[Attempt]) -> _Rates:
    outcomes = [(attempt.ended, _outcome(attempt)) for attempt in attempts]
    began = min((moment for moment, _ in outcomes), default=0.0)
    seconds = max((moment for moment, _ in outcomes), default=0.0) - began
    bar_seconds = max(1, ceil(seconds * _BAR_PIXELS / _PLOT))
    # The rate of a last bar that is not whole would mislead, so it is left out.
    bars = int(seconds // bar_seconds)
    if bars == 0:
        raise ValueError("a run of less than a second has no picture")
    counts = Counter(
        (int((moment - began) // bar_seconds), outcome) for moment, outcome in outcomes
    )
    adds, unavailable, unanswered = (
        [counts[bar, outcome] / bar_seconds for bar in range(bars)]
        for outcome in ("added", "unavailable", "unanswered")
    )
    return _Rates(began, seconds, bar_seconds, adds, unavailable, unanswered)


def _outcome(attempt: Attempt) -> str:
    if attempt.status is None:
        return "unanswered"
    if attempt.status >= 500:
        return "unavailable"
    return "added" if attempt.kind == "add" and attempt.status == CREATED else "other"


def _heading() -> Iterator[str]:
    yield _text(_LEFT, 26, "What the clients saw while everything was being broken", 17, weight=600)


def _panel(
    title: str,
    stacked: Sequence[tuple[str, list[float]]],
    rates: _Rates,
    top: float,
    height: float,
) -> Iterator[str]:
    """Draw bars on top of each other, with a scale of their own."""
    yield _text(_LEFT, top - 9, title, weight=600)
    highest = _round_up(max(map(sum, zip(*(values for _, values in stacked), strict=True))))
    for part in (0, 0.5, 1):
        y = top + height * (1 - part)
        yield _line(_LEFT, y, _LEFT + _PLOT, y, _GRID if part else _FAINT)
        yield _text(_LEFT - 8, y + 4, f"{highest * part:g}", anchor="end", color=_FAINT)
    width = _PLOT * rates.bar_seconds / rates.seconds
    below = [0.0] * len(rates.adds)
    for color, values in stacked:
        steps = []
        for place, value in enumerate(values):
            if value > 0:
                bar = height * value / highest
                y = top + height * (1 - below[place] / highest) - bar
                below[place] += value
                x = _LEFT + place * width
                steps.append(f"M{x:.1f} {y:.1f}h{width:.1f}v{bar:.1f}h{-width:.1f}z")
        yield f'<path fill="{color}" fill-opacity="0.85" d="{"".join(steps)}"/>'


def _bands(
    injected: Iterable[Injected], began: float, scale: float, top: float, bottom: float
) -> Iterator[str]:
    for fault, _ in injected:
        x = _LEFT + (fault.began - began) * scale
        width = max((fault.healed - fault.began) * scale, _MARK_PIXELS)
        yield _rect(x, top, width, bottom - top, _BAND)


def _lanes(
    injected: Iterable[Injected], names: list[str], began: float, scale: float, top: float
) -> Iterator[str]:
    """Draw a row for each kind of fault, so that each can be named in full."""
    for place, name in enumerate(names):
        y = top + _LANE * (place + 1)
        yield _line(_LEFT, y, _LEFT + _PLOT, y, _GRID)
        yield _text(_LEFT - 8, y - 4, name, anchor="end")
    for fault, back in injected:
        y = top + _LANE * names.index(fault.name) + 3
        x = _LEFT + (fault.began - began) * scale
        width = max((fault.healed - fault.began) * scale, _MARK_PIXELS)
        if back is not None:
            yield _rect(x + width, y, back * scale, _LANE - 6, _COMING_BACK)
        yield _rect(x, y, width, _LANE - 6, _BROKEN)


def _time_axis(seconds: float, scale: float, top: float) -> Iterator[str]:
    steps = (5, 10, 30, 60, 120, 300, 600, 1800, 3600, inf)
    step = next(step for step in steps if seconds / step <= _MOST_TICKS)
    yield _line(_LEFT, top, _LEFT + _PLOT, top, _FAINT)
    for moment in range(0, int(seconds) + 1, int(min(step, seconds))):
        x = _LEFT + moment * scale
        yield _line(x, top, x, top + 5, _FAINT)
        yield _text(x, top + 18, str(moment), anchor="middle", color=_FAINT)
    yield _text(_LEFT + _PLOT / 2, top + 36, "seconds since the start", anchor="middle")


def _key(y: float, colors: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Name the colours, at the right end of a panel's title."""
    named = "\u2003".join(
        f'<tspan fill="{color}">\u25a0</tspan> {escape(name)}' for color, name in colors
    )
    x = _LEFT + _PLOT
    yield f'<text x="{x}" y="{y:.1f}" text-anchor="end" fill="{_FAINT}">{named}</text>'


def _round_up(highest: float) -> float:
    """Find the end of a scale: 1, 2, 3 or 5 times a power of ten."""
    power = 1.0
    while True:
        for step in (1, 2, 3, 5):
            if highest <= step * power:
                return step * power
        power *= 10


def _text(
    x: float,
    y: float,
    text: str,
    size: int = 12,
    *,
    weight: int = 400,
    anchor: str = "start",
    color: str = _INK,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'
    )


def _line(x: float, y: float, to_x: float, to_y: float, color: str) -> str:
    return f'<path stroke="{color}" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"/>'


def _rect(x: float, y: float, width: float, height: float, color: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'
    )
