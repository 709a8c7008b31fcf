"""Makes the documents of a results file, so that no figure in them is typed by hand."""

import json
from pathlib import Path
from string import Template
from typing import Any

from bench.goals import shown
from bench.rig import ROOT

_TEMPLATE = Path(__file__).with_name("document.md")
_PICTURES = {
    "throughput": "Durable adds a second, by clients",
    "latency": "Latency of an add, by clients",
    "sizes": "Latency of a look, by the size of the table",
    "time": "Where the time of an add goes",
}

Results = dict[str, Any]


def write(file: Path, docs: Path = ROOT / "docs") -> None:
    """Write docs/benchmarks.md and its pictures from a results file."""
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
    text = Template(_TEMPLATE.read_text()).substitute(
        machine=_machine(results),
        table=table(results),
        left_out=_left_out(results),
        marked=_marked(results),
        **shown_pictures,
    )
    (docs / "benchmarks.md").write_text(text)


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
    return "\n".join(f"- {line}" for line in lines)


def _left_out(results: Results) -> str:
    if not results["left_out"]:
        return "Nothing was left out."
    return "Left out:\n\n" + "\n".join(
        f"- {each['what']}, because {each['because']}" for each in results["left_out"]
    )


def _marked(results: Results) -> str:
    marks = [mark for rounds in results["rounds"].values() for mark in rounds["disturbed"]]
    return f"{sum(marks)} of {len(marks)}"
