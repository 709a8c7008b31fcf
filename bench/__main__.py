"""`python -m bench` measures and keeps the results; `python -m bench report FILE` tells them."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench import report
from bench.database import NotDurable, cluster
from bench.machine import describe
from bench.measures import GROUPS, QUICK_GROUPS
from bench.process import ROOT, Missing
from bench.rounds import Invalid
from bench.runner import FULL, QUICK, Findings, Pace, Runner, progress

_KEPT = ROOT / "docs" / "benchmarks.json"
_PASSING = ROOT / ".cache" / "bench.json"
# What results have in common that may stand in one file.
_SAME = ("machine", "versions", "durability", "quick")


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    asked = _arguments()
    if asked.command == "report":
        report.write(asked.file)
        return 0
    whole = not asked.quick and not asked.only
    pace = QUICK if asked.quick else FULL
    names = asked.only or list(QUICK_GROUPS if asked.quick else GROUPS)
    out = asked.out or (_KEPT if whole else _PASSING)
    try:
        # Before minutes of measuring: what can't be kept need not be measured.
        into = _read_into(asked)
        _require_writable(out)
        results = measure(pace, names, into)
    except (NotDurable, OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if whole and _KEPT.exists():
        keep_machines(json.loads(_KEPT.read_text()), results)
    out.write_text(json.dumps(results, indent=1) + "\n")
    progress(f"wrote {out}")
    print(report.table(results))
    if whole:
        report.write(out)
    if into is not None:
        replace(into, results, names)
        asked.into.write_text(json.dumps(into, indent=1) + "\n")
    return 1 if results["failed"] else 0


def _read_into(asked: argparse.Namespace) -> dict[str, Any] | None:
    if asked.into is None:
        return None
    if asked.quick or not asked.only:
        raise ValueError("--into goes with --only, and not with --quick")
    kept: dict[str, Any] = json.loads(asked.into.read_text())
    if missing := {*_SAME, "results", "rounds", "series"} - kept.keys():
        raise ValueError(f"{asked.into} is no results file: it lacks {', '.join(sorted(missing))}")
    _require_writable(asked.into)
    return kept


def _require_writable(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.open("a").close()
    if file.stat().st_size == 0:
        file.unlink()


def measure(pace: Pace, names: list[str], into: dict[str, Any] | None = None) -> dict[str, Any]:
    """Measure these groups; returns the content of the results file.

    Raises ValueError if it would be another machine's than that of `into`.
    """
    findings = Findings()
    with cluster() as (running, folder):
        about = describe(running)
        durability = running.durability()
        if into is not None:
            _require_same(into, {**about, "durability": durability, "quick": pace is QUICK})
        progress(f"PostgreSQL's {', '.join(f'{name} {on}' for name, on in durability.items())}")
        if pace is QUICK:
            progress(f"a quick run: short rounds, and {pace.many:,} entries for 10,000,000")
        runner = Runner(running, folder, pace, findings)
        for name in names:
            try:
                GROUPS[name](runner)
            except Missing as missing:
                findings.leave_out(name, missing)
            except Invalid as failure:
                # Half an hour of other figures is worth keeping; the exit status tells.
                findings.leave_out(name, failure)
                findings.failed = True
    return {
        **about,
        "durability": durability,
        "quick": pace is QUICK,
        "failed": findings.failed,
        "results": [result.for_json() for result in findings.results],
        "rounds": {
            name: {"figures": rounds.figures, "disturbed": rounds.disturbed}
            for name, rounds in findings.rounds.items()
        },
        "series": findings.series,
        "left_out": findings.left_out,
    }


def replace(kept: dict[str, Any], results: dict[str, Any], groups: list[str]) -> None:
    """Put what was measured again in its place; raises ValueError for another machine's results."""
    _require_same(kept, results)
    lines = {line["name"]: line for line in kept["results"] + results["results"]}
    names = [line["name"] for line in kept["results"]]
    previous = len(names) - 1
    for line in results["results"]:
        if line["name"] not in names:  # never measured before: it stands where a whole run has it
            names.insert(previous + 1, line["name"])
        previous = names.index(line["name"])
    kept["results"] = [lines[name] for name in names]
    kept["rounds"] |= results["rounds"]
    kept["series"] |= results["series"]
    kept.setdefault("again", []).append(
        {"groups": groups, **{name: results[name] for name in ("date", "commit", "dirty")}}
    )


def keep_machines(earlier: dict[str, Any], results: dict[str, Any]) -> None:
    """Give a run the lines of the machines measured before it, one for each."""
    this = report.of_machine(results)["machine"]
    runs = [report.of_machine(earlier), *earlier.get("before", [])]
    results["before"] = [run for run in runs if run["machine"] != this]


def _require_same(kept: dict[str, Any], results: dict[str, Any]) -> None:
    for same in _SAME:
        if kept[same] != results[same]:
            raise ValueError(f"measured with another {same}: {kept[same]}, not {results[same]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about three minutes, a part of it")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="only these groups")
    parser.add_argument("--out", type=Path, help="the results file")
    parser.add_argument(
        "--into", type=Path, help="a whole run's results, in which these groups are replaced"
    )
    commands = parser.add_subparsers(dest="command")
    reports = commands.add_parser("report", help="make docs/benchmarks.md and its pictures")
    reports.add_argument("file", type=Path, help="a results file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
