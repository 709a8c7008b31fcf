"""Makes the documents of a results file, so that no figure in them is typed by hand."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from bench.goals import shown
from bench.measures import adders, viewers
from bench.measures.clients import NUMBERS
from bench.measures.reads import SIZES
from bench.process import ROOT

_BENCHMARKS = Path(__file__).with_name("document.md")
_LIMITS = Path(__file__).with_name("limits.md")
_PICTURES = {
    "throughput": "Durable adds a second, by clients",
    "latency": "Latency of an add, by clients",
    "sizes": "Latency of a look, by the size of the table",
    "time": "Where the time of an add goes",
}

Results = dict[str, Any]


def write(file: Path, docs: Path = ROOT / "docs") -> None:
    """Write docs/benchmarks.md with its pictures and, of a whole run, docs/limits.md."""
    # Imported here, because measuring needs nothing to draw with.
    from bench.plots import draw  # noqa: PLC0415

    results = json.loads(file.read_text())
    pictures = docs / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    drawn = draw(results, pictures)
    shown_pictures = {
        name: f"![{title}](pictures/{drawn[name].name})" if name in drawn else _ABSENT
        for name, title in _PICTURES.items()
    }
    text = Template(_BENCHMARKS.read_text()).substitute(
        machine=_machine(results),
        table=table(results),
        left_out=_left_out(results),
        marked=_marked(results),
        costs=_costs(results),
        candidates=candidates(results),
        machines=machines(results),
        **shown_pictures,
    )
    (docs / "benchmarks.md").write_text(text)
    if results["rounds"].keys() >= _CURVES:
        (docs / "limits.md").write_text(Template(_LIMITS.read_text()).substitute(_limits(results)))


_CURVES = {"clients", "sizes", "adders", "viewers", "adds with viewers", "keys"}


def _limits(results: Results) -> dict[str, str]:
    """The curves of docs/limits.md, as tables of medians."""
    sizes = results["series"]["bytes"]
    return {
        "sizes": _grid(
            results,
            "entries",
            SIZES,
            {
                "total, ms": ("sizes", "total, {}", "p50"),
                "page, ms": ("sizes", "page, {}", "p50"),
                "`SUM(value)` of the naive peer, ms": ("sizes", "naive total, {}", "p50"),
            },
        ),
        "clients": _grid(
            results,
            "clients",
            NUMBERS,
            {
                "adds a second": ("clients", "Tally, {}", "rate"),
                "median, ms": ("clients", "Tally, {}", "p50"),
                "99th percentile, ms": ("clients", "Tally, {}", "p99"),
            },
        ),
        "adders": _grid(
            results,
            "adder processes",
            adders.NUMBERS,
            {
                "adds a second": ("adders", "{}", "rate"),
                "median, ms": ("adders", "{}", "p50"),
                "99th percentile, ms": ("adders", "{}", "p99"),
            },
        ),
        "viewers": _grid(
            results,
            "viewers",
            viewers.NUMBERS,
            {
                "change seen, median, ms": ("viewers", "{}", "p50"),
                "99th percentile, ms": ("viewers", "{}", "p99"),
                "memory a viewer, KB": ("viewers", "{}", "memory"),
                "adds a second meanwhile": ("adds with viewers", "{}", "rate"),
            },
        ),
        "entry_bytes": f"{sizes['entry']:,}",
        "key_bytes": f"{sizes['key']:,}",
        "both_gigabytes": f"{(sizes['entry'] + sizes['key']) * 10**7 / 1e9:.1f}",
    }


def _grid(
    results: Results,
    head: str,
    places: Sequence[int],
    columns: Mapping[str, tuple[str, str, str]],
) -> str:
    """A row for each place; a column is a group of rounds, a candidate's name and a figure."""
    rows = [f"| {' | '.join([head, *columns])} |", "|" + " --- |" * (len(columns) + 1)]
    for place in places:
        medians = [
            statistics.median(
                each[figure] for each in results["rounds"][group]["figures"][name.format(place)]
            )
            for group, name, figure in columns.values()
        ]
        cells = [f"{place:,}", *(shown(median, "").strip() for median in medians)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


_ABSENT = "(Not measured in this run.)"


def table(results: Results) -> str:
    """Every line that was measured, as Markdown."""
    rows = ["| what | measured: median (min - max) | must | aim | verdict |", "|" + " --- |" * 5]
    for line in results["results"]:
        star = f" *{line['disturbed']}" if line["disturbed"] else ""
        unit = line["unit"]
        low, high = (shown(line[end], "").strip() for end in ("low", "high"))
        rows.append(
            f"| {line['what']} | {shown(line['median'], unit)} ({low} - {high}){star} "
            f"| {line['must'] or ''} | {line['aim'] or ''} | {_verdict(line['verdict'])} |"
        )
    return "\n".join(rows).replace("psql \\copy", "`psql \\copy`")


def _verdict(verdict: str) -> str:
    return "**missed**" if verdict == "missed" else verdict


def _machine(results: Results) -> str:
    machine, versions = results["machine"], results["versions"]
    changed = ", with changes that are not in it" if results["dirty"] else ""
    kind = "a quick, rough run" if results["quick"] else "a full run"
    lines = [
        f"{results['date']}, commit {results['commit'][:12]}{changed}; {kind}.",
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB of memory, "
        f"Linux {machine['kernel']}, data on {machine['filesystem']}.",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "PostgreSQL's "
        + ", ".join(f"`{name}` {value}" for name, value in results["durability"].items())
        + ".",
    ]
    lines += [
        f"Measured again on {again['date']}, commit {again['commit'][:12]}:"
        f" {', '.join(again['groups'])}."
        for again in results.get("again", [])
    ]
    return "\n".join(f"- {line}" for line in lines)


def _left_out(results: Results) -> str:
    if not results["left_out"]:
        return "Nothing was left out."
    return "Left out:\n\n" + "\n".join(
        f"- {each['what']}, because {each['because']}" for each in results["left_out"]
    )


def _costs(results: Results) -> str:
    profile = results["series"].get("profile")
    if profile is None:
        return _ABSENT
    names = {
        "add": "a single add",
        "add_with_header": "... with another header that is new each time",
        "add_with_key": "... with a new `Idempotency-Key`",
    }
    rows = ["| request | adder | PostgreSQL |", "| --- | --- | --- |"]
    for script, name in names.items():
        cost = profile["costs"][script]
        rows.append(f"| {name} | {cost['adder']:.1f} | {cost['PostgreSQL']:.1f} |")
    return "\n".join(rows)


def candidates(results: Results) -> str:
    """What an add costs each candidate, of medians; the kernel's part in parentheses."""
    figures = results["rounds"]["adds"]["figures"]
    if not any("server user" in each for each in figures["Tally"]):
        return _ABSENT
    rows = [
        "| candidate | adds a second | server, us an add (kernel) | database, us an add (kernel) |",
        "|" + " --- |" * 4,
    ]
    for name, rounds in figures.items():
        rate = shown(statistics.median(each["rate"] for each in rounds), "").strip()
        rows.append(
            f"| {name} | {rate} | {_cost(rounds, 'server')} | {_cost(rounds, 'database')} |"
        )
    return "\n".join(rows)


def _cost(rounds: Sequence[Mapping[str, float]], family: str) -> str:
    if f"{family} user" not in rounds[0]:
        return ""
    kernel = statistics.median(each[f"{family} kernel"] for each in rounds)
    whole = statistics.median(each[f"{family} user"] + each[f"{family} kernel"] for each in rounds)
    return f"{whole:.1f} ({kernel:.1f})"


# What of a run is kept when another machine is measured, by the names of its lines.
KEPT = {
    "adds": "adds a second",
    "adds/pgbench": "against pgbench INSERT",
    "adds/pgbench-total": "against pgbench INSERT + total",
    "adds/go": "against Go, INSERT",
    "adds/go-group": "against Go with group commit",
    "adds/ceiling": "against no ledger",
}


def of_machine(results: Results) -> Results:
    """The line of a whole run that later runs keep."""
    spreads = {line["name"]: line for line in results["results"] if line["name"] in KEPT}
    return {
        "date": results["date"],
        "machine": "{processor}, {cores} cores, Linux {kernel}, {filesystem}".format(
            **results["machine"]
        ),
        "spreads": {
            name: {end: line[end] for end in ("low", "median", "high")}
            for name, line in spreads.items()
        },
    }


def machines(results: Results) -> str:
    """A line for each machine that was measured, this one first."""
    rows = [f"| machine | {' | '.join(KEPT.values())} |", "|" + " --- |" * (len(KEPT) + 1)]
    for run in [of_machine(results), *results.get("before", [])]:
        cells = [_range(run["spreads"].get(name)) for name in KEPT]
        rows.append(f"| {run['date']}: {run['machine']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _range(spread: Mapping[str, float] | None) -> str:
    """The median where it is known, and from the least to the greatest."""
    if spread is None:
        return ""
    known = {name: shown(value, "").strip() for name, value in spread.items()}
    ends = f"{known['low']} - {known['high']}" if "low" in known else ""
    if "median" not in known:
        return ends
    return f"{known['median']} ({ends})" if ends else known["median"]


def _marked(results: Results) -> str:
    marks = [mark for rounds in results["rounds"].values() for mark in rounds["disturbed"]]
    return f"{sum(marks)} of {len(marks)}"
