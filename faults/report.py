"""What a run showed, for people: a Markdown document and a picture beside it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from typing import Final

from faults.chart import Injected, draw
from faults.checkers.processes import (
    BACK_WITHIN,
    DESCRIPTORS,
    MEMORY_BYTES,
    MEMORY_FACTOR,
    peaks,
    seconds_until_back,
    usage,
)
from faults.checkers.verdict import Verdict
from faults.failovers import outages
from faults.faults import FAULTS
from faults.faults.fault import Fault as Declared
from faults.history import Attempt, Fault, History
from faults.node import TIMINGS
from faults.systems import SYSTEMS
from faults.timeline import known_without_effect

_OUTCOMES: Final = ("answered", "replayed", "refused", "unknown (5xx)", "no answer", "not sent")


@dataclass(frozen=True, slots=True)
class Run:
    """What one system showed: its version of PostgreSQL, and the checkers' verdicts."""

    system: str
    postgres: str
    history: History
    verdicts: Sequence[Verdict]


def write(
    document: Path,
    *,
    seed: int,
    seconds: float,
    versions: Mapping[str, str],
    runs: Sequence[Run],
    left_out: str = "",
) -> None:
    """Write the report, and in the folder `pictures` beside it a picture of each run.

    `seconds` is how long all were asked to take; `versions` are of what took part in all, by name.
    `left_out` is the system that could not run, and why. Raises `OSError`, and `ValueError` for a
    run of less than a second.
    """
    pictures = document.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    lines = _introduction(seed, seconds, versions, left_out)
    for run in runs:
        picture = pictures / f"{document.stem}-{run.system}.svg"
        injected = seconds_until_back(run.history)
        picture.write_text(draw(run.history.attempts(), injected), encoding="utf-8")
        lines += [
            *_heading(run),
            f"![Requests and faults over time](pictures/{picture.name})",
            "",
            *_findings(run.verdicts),
            *_outages(run.history),
            *_promises(run.verdicts),
            *_faults(injected, SYSTEMS[run.system].faults),
            *_requests(run.history.attempts()),
            *_usage(run.history),
        ]
    document.write_text("\n".join(lines), encoding="utf-8")


def _introduction(
    seed: int, seconds: float, versions: Mapping[str, str], left_out: str
) -> list[str]:
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        "# Faults",
        "",
        "Real processes serve real clients while faults are injected. A history records every",
        "operation. Checkers, which use none of Tally's own code, then compare what the clients",
        "were told with what PostgreSQL holds.",
        "",
        f"{named}.",
        "",
        *([f"Left out: {left_out}.", ""] if left_out else []),
        "The same faults in the same order again:",
        "",
        "```sh",
        f"make faults SECONDS={seconds:g} SEED={seed}",
        "```",
        "",
    ]


def _heading(run: Run) -> list[str]:
    attempts = sum(1 for _ in run.history.attempts())
    faults = sum(fault.error is None for fault in run.history.all(Fault))
    return [
        f"## {SYSTEMS[run.system].title}",
        "",
        f"{SYSTEMS[run.system].sentence} PostgreSQL {run.postgres}.",
        "",
        f"{attempts:,} requests, {len(run.history.final.entries):,} entries and {faults} faults in"
        f" {_length(run.history):.0f} seconds.",
        "",
    ]


def _length(history: History) -> float:
    """Take the seconds from the first request to the last answer."""
    began, ended = inf, -inf
    for attempt in history.attempts():
        began = min(began, attempt.sent)
        ended = max(ended, attempt.ended)
    return ended - began


def _findings(verdicts: Sequence[Verdict]) -> list[str]:
    findings = [finding for verdict in verdicts for finding in verdict.findings]
    if not findings:
        return ["### Findings", "", "None: every promise was kept.", ""]
    return ["### Findings", "", *(f"- `{finding}`" for finding in findings), ""]


def _promises(verdicts: Sequence[Verdict]) -> list[str]:
    return _table(
        "Promises",
        ("checker", "promise", "facts checked", "broken"),
        (
            (
                verdict.checker.replace("_", " "),
                verdict.promise[:1].upper() + verdict.promise[1:].rstrip("."),
                f"{verdict.facts:,}",
                f"{len(verdict.details):,}",
            )
            for verdict in verdicts
            if verdict.facts
        ),
    )


def _outages(history: History) -> list[str]:
    return _table(
        "Without service",
        (
            "the leadership moves by",
            "times",
            "until another node takes writes, in seconds: median, worst",
            "without an acknowledged add: median, worst",
        ),
        (
            (
                move,
                str(len(found)),
                _median_and_worst(outage.promoted for outage in found),
                _median_and_worst(outage.without_service for outage in found),
            )
            for move, found in sorted(outages(history).items())
        ),
        "Patroni's own timings: "
        + ", ".join(f"`{name}` {seconds} s" for name, seconds in TIMINGS.items())
        + ". A switchover is asked for; a failover follows once the old leader's key has expired.",
    )


def _median_and_worst(seconds: Iterable[float]) -> str:
    found = sorted(seconds)
    return f"{median(found):.2f}, {found[-1]:.2f}"


def _faults(injected: Iterable[Injected], faults: Mapping[str, Declared]) -> list[str]:
    seconds: dict[str, list[float | None]] = defaultdict(list)
    for fault, back in injected:
        seconds[fault.name].append(back)
    left_out = ", ".join(sorted(faults.keys() - seconds.keys()))
    return _table(
        "Faults",
        ("fault", "what is done", "times", "longest until back, in seconds"),
        (
            (name, FAULTS[name].sentence, str(len(back)), _longest(back))
            for name, back in sorted(seconds.items())
        ),
        "Back is when every service has answered a request that was sent after the fault:"
        f" within {BACK_WITHIN:g} seconds."
        + (f" Left out of this run: {left_out}." if left_out else ""),
    )


def _longest(back: Sequence[float | None]) -> str:
    seen = [seconds for seconds in back if seconds is not None]
    return f"{max(seen):.2f}" if len(seen) == len(back) else "never"


def _requests(attempts: Iterable[Attempt]) -> list[str]:
    counts = Counter((attempt.kind, _outcome(attempt)) for attempt in attempts)
    kinds = dict.fromkeys(kind for kind, _ in counts)
    return _table(
        "Requests",
        ("request", *_OUTCOMES),
        ((kind, *(f"{counts[kind, outcome]:,}" for outcome in _OUTCOMES)) for kind in kinds),
    )


def _outcome(attempt: Attempt) -> str:
    if attempt.never_sent:
        return "not sent"
    if attempt.status is None:
        return "no answer"
    if known_without_effect(attempt):
        return "refused"
    if attempt.status >= 500:
        return "unknown (5xx)"
    return "replayed" if attempt.replayed else "answered"


def _usage(history: History) -> list[str]:
    most = peaks(history)
    return _table(
        "Processes",
        ("process", "memory in MB", "most under hostile clients", "open descriptors"),
        (
            (
                service,
                f"{before.memory // 10**6} → {after.memory // 10**6}",
                f"{most[service] // 10**6}" if service in most else "-",
                f"{before.descriptors} → {after.descriptors}",
            )
            for service, (before, after) in usage(history).items()
        ),
        "After the warm-up, and at the end: memory at most"
        f" {MEMORY_FACTOR:g} times as much and {MEMORY_BYTES // 10**6} MB, and at most"
        f" {DESCRIPTORS} descriptors more.",
    )


def _table(
    title: str, head: Sequence[str], rows: Iterable[Sequence[str]], note: str = ""
) -> list[str]:
    """Write a section with a table; nothing where there is no row."""
    written = [_row(row) for row in rows]
    if not written:
        return []
    above = [note, ""] if note else []
    return [f"### {title}", "", *above, _row(head), _row(["---"] * len(head)), *written, ""]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
