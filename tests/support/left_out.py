"""What a run left out, why, and how to get it: a table at its end. STRICT=1 fails it instead."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

STRICT = os.environ.get("TALLY_TEST_STRICT") == "1"
# Where a run of several processes collects what each of them counted.
COUNTS = "TALLY_TEST_COUNTS"
# What to do, and not a detail such as a command's error, which may have a colon too.
_INSTRUCTION = re.compile(r"(?:add|apt|apt-get|install|keep|load|make|run|stop) ")
# How to get what a reason says is missing, where the reason itself does not say.
REMEDIES = (
    (r"\broot\b", "run `make test` as root"),
    (r"terraform", "install Terraform 1.11 or newer"),
    (r"ordinary user", "keep the checkout where every user may enter"),
)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    stats = terminalreporter.stats
    reasons = Counter(_reason(it) for it in stats.get("skipped", []))
    if path := os.environ.get(COUNTS):
        counts = {outcome: len(stats.get(outcome, [])) for outcome in ("passed", "failed", "error")}
        Path(path).write_text(json.dumps({"counts": counts, "left_out": reasons}))
    elif reasons:
        terminalreporter.section("left out")
        terminalreporter.write("\n".join(table(reasons)) + "\n")


def _reason(report: pytest.TestReport) -> str:
    assert isinstance(report.longrepr, tuple)
    return report.longrepr[2].removeprefix("Skipped: ")


def table(reasons: Mapping[str, int]) -> Iterator[str]:
    """The lines of the table, most tests first."""
    rows = [("tests", "why", "to get them")]
    for reason, count in sorted(reasons.items(), key=lambda it: (-it[1], it[0])):
        rows.append((str(count), *why_and_remedy(reason)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for count, why, remedy in rows:
        yield f"{count:>{widths[0]}}  {why:<{widths[1]}}  {remedy}".rstrip()


def why_and_remedy(reason: str) -> tuple[str, str]:
    """Part "why: remedy"; without a remedy of its own, a reason has one of `REMEDIES`, or none."""
    why, _, remedy = reason.rpartition(": ")
    if _INSTRUCTION.match(remedy):
        return why, remedy
    return reason, next((known for pattern, known in REMEDIES if re.search(pattern, reason)), "")
