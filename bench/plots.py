"""The pictures of what was measured, as SVG."""

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bench.measures.clients import NUMBERS
from bench.measures.reads import SIZES

# Apart for eyes that see no red or no green, too (Okabe and Ito's palette).
_COLOURS = {
    "Tally": "#0072b2",
    "naive": "#d55e00",
    "pgbench": "#666666",
    "total": "#0072b2",
    "page": "#009e73",
    "range": "#cc79a7",
    "naive total": "#d55e00",
}
_LABELS = {
    "naive": "naive (Flask, gunicorn)",
    "pgbench": "pgbench INSERT (no HTTP, no total)",
    "total": "Tally, GET .../total",
    "page": "Tally, display page",
    "range": "Tally, display page of any range",
    "naive total": "naive, SUM(value)",
}
_STYLE: dict[Any, object] = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "svg.hashsalt": "tally",  # the same figures give the same file
}
_INCHES = (7.5, 4.5)

Results = dict[str, Any]


def draw(results: Results, folder: Path) -> dict[str, Path]:
    """Draw what the results allow into a folder; returns the files by the pictures' names."""
    drawn = {}
    for name, (draws, group, needs) in _PICTURES.items():
        if needs in results[group]:
            with mpl.rc_context(_STYLE):
                figure = Figure(figsize=_INCHES, layout="constrained")
                draws(figure.add_subplot(), results)
            drawn[name] = folder / f"bench-{name}.svg"
            figure.savefig(drawn[name], metadata={"Date": None})
    return drawn


def _throughput(axes: Axes, results: Results) -> None:
    _by_clients(axes, results, "rate")
    axes.set(ylabel="adds a second", title="Durable adds a second, by clients")


def _latency(axes: Axes, results: Results) -> None:
    _by_clients(axes, results, "p50")
    _by_clients(axes, results, "p99", "--")
    axes.set(ylabel="milliseconds", title="Latency of an add, by clients (dashed: 99th percentile)")


def _by_clients(axes: Axes, results: Results, figure: str, linestyle: str = "-") -> None:
    """A line for each candidate; only solid ones are named, others repeat their colours."""
    figures = results["rounds"]["clients"]["figures"]
    for name in ("Tally", "naive", "pgbench"):
        numbers = [number for number in NUMBERS if f"{name}, {number}" in figures]
        rounds = [[each[figure] for each in figures[f"{name}, {number}"]] for number in numbers]
        label = _LABELS.get(name, name) if linestyle == "-" else None
        _line(axes, numbers, rounds, colour=_COLOURS[name], label=label, linestyle=linestyle)
    _scales(axes, NUMBERS, "clients (connections, each with one request at a time)")


def _sizes(axes: Axes, results: Results) -> None:
    figures = results["rounds"]["sizes"]["figures"]
    sizes = [size for size in SIZES if f"total, {size}" in figures]
    for name in ("total", "page", "range", "naive total"):
        if f"{name}, {sizes[0]}" not in figures:  # older results have no range
            continue
        rounds = [[each["p50"] for each in figures[f"{name}, {size}"]] for size in sizes]
        _line(axes, sizes, rounds, colour=_COLOURS[name], label=_LABELS[name])
    _scales(axes, sizes, "entries in the table")
    axes.set(ylabel="milliseconds, median", title="Latency of a look, by the size of the table")


def _line(
    axes: Axes,
    places: Sequence[int],
    rounds: list[list[float]],
    *,
    colour: str,
    label: str | None,
    linestyle: str = "-",
) -> None:
    """A line through the medians, in a band from the least to the greatest."""
    medians = [statistics.median(values) for values in rounds]
    axes.plot(places, medians, linestyle, marker="o", markersize=4, color=colour, label=label)
    lows, highs = [min(values) for values in rounds], [max(values) for values in rounds]
    axes.fill_between(places, lows, highs, color=colour, alpha=0.12, linewidth=0)


def _scales(axes: Axes, places: Sequence[int], label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    # Whole decades, so that several have a number.
    low, high = axes.dataLim.intervaly
    axes.set_ylim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    axes.set_xticks(places, [f"{place:,}" for place in places])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel(label)
    axes.legend(frameon=False, fontsize=9)


def _time(axes: Axes, results: Results) -> None:
    profile = results["series"]["profile"]
    parts = dict(sorted(profile["microseconds"].items(), key=lambda item: item[1]))
    names = ["PostgreSQL", *parts]
    values = [profile["PostgreSQL"], *parts.values()]
    colours = [_COLOURS["pgbench"], *(_COLOURS["Tally"] for _ in parts)]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=4, fontsize=10)
    axes.grid(visible=False, axis="y")
    axes.set(
        xlabel="microseconds of processor time an add (blue: in the adder)",
        title="Where the time of an add goes, at 64 clients",
    )


_PICTURES: dict[str, tuple[Callable[[Axes, Results], None], str, str]] = {
    "throughput": (_throughput, "rounds", "clients"),
    "latency": (_latency, "rounds", "clients"),
    "sizes": (_sizes, "rounds", "sizes"),
    "time": (_time, "series", "profile"),
}
