"""`python -m bench` measures and keeps the results; `python -m bench report FILE` tells them."""

import argparse
import json
import sys
from pathlib import Path

from bench import report
from bench.database import NotDurable, cluster
from bench.machine import describe
from bench.measures import GROUPS, QUICK_GROUPS
from bench.rig import ROOT, Missing
from bench.rounds import Invalid
from bench.stand import FULL, QUICK, Findings, Pace, Stand, progress

_KEPT = ROOT / "docs" / "benchmarks.json"
_PASSING = ROOT / ".cache" / "bench.json"


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    asked = _arguments()
    if asked.command == "report":
        report.write(asked.file)
        return 0
    whole = not asked.quick and not asked.only
    pace = QUICK if asked.quick else FULL
    names = asked.only or list(QUICK_GROUPS if asked.quick else GROUPS)
    try:
        results = measure(pace, names)
    except NotDurable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    out = asked.out or (_KEPT if whole else _PASSING)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    progress(f"wrote {out}")
    print(report.table(results))
    if whole:
        report.write(out)
    return 1 if results["failed"] else 0


def measure(pace: Pace, names: list[str]) -> dict[str, object]:
    """Measure these groups; returns the content of the results file."""
    findings = Findings()
    with cluster() as (running, folder):
        about = describe(running)
        durability = running.durability()
        progress(f"PostgreSQL's {', '.join(f'{name} {on}' for name, on in durability.items())}")
        if pace is QUICK:
            progress(f"a quick run: short rounds, and {pace.many:,} entries for 10,000,000")
        stand = Stand(running, folder, pace, findings)
        for name in names:
            try:
                GROUPS[name](stand)
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about two minutes, a part of it")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="only these groups")
    parser.add_argument("--out", type=Path, help="the results file")
    commands = parser.add_subparsers(dest="command")
    reports = commands.add_parser("report", help="make docs/benchmarks.md and its pictures")
    reports.add_argument("file", type=Path, help="a results file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
