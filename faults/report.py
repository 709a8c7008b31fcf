"""What a run showed, for people: a Markdown document and a picture beside it."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from pathlib import Path
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
from faults.faults import FAULTS
from faults.history import Attempt, Fault, History
from faults.timeline import known_without_effect

_OUTCOMES: Final = ("answered", "replayed", "refused", "unknown (5xx)", "no answer", "not sent")


def write(
    document: Path,
    picture: Path,
    *,
    seed: int,
    seconds: float,
    versions: Mapping[str, str],
    history: History,
    verdicts: Sequence[Verdict],
) -> None:
    """Write the report and its picture, in folders that exist.

    `seconds` is how long the run was asked to take; `versions` are of what took part, by name.
    Raises `OSError`, and `ValueError` for a run of less than a second.
    """
    injected = seconds_until_back(history)
    picture.write_text(draw(history.attempts(), injected), encoding="utf-8")
    link = Path(os.path.relpath(picture, document.parent)).as_posix()
    lines = [
        *_introduction(seed, seconds, versions, history),
        f"![Requests and faults over time]({link})",
        "",
        *_findings(verdicts),
        *_promises(verdicts),
        *_faults(injected),
        *_requests(history.attempts()),
        *_usage(history),
    ]
    document.write_text("\n".join(lines), encoding="utf-8")


def _introduction(
    seed: int, seconds: float, versions: Mapping[str, str], history: History
) -> list[str]:
    attempts = sum(1 for _ in history.attempts())
    faults = sum(fault.error is None for fault in history.all(Fault))
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        "# Faults",
        "",
        "Real processes serve real clients while faults are injected. A history records every",
        "operation. Checkers, which use none of Tally's own code, then compare what the clients",
        "were told with what PostgreSQL holds.",
        "",
        f"This run: {attempts:,} requests, {len(history.final.entries):,} entries and {faults}"
        f" faults in {_length(history):.0f} seconds. {named}.",
        "",
        "The same faults in the same order again:",
        "",
        "```sh",
        f"make faults SECONDS={seconds:g} SEED={seed}",
        "```",
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
        return ["## Findings", "", "None: every promise was kept.", ""]
    return ["## Findings", "", *(f"- `{finding}`" for finding in findings), ""]


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
        ),
    )


def _faults(injected: Iterable[Injected]) -> list[str]:
    seconds: dict[str, list[float | None]] = defaultdict(list)
    for fault, back in injected:
        seconds[fault.name].append(back)
    left_out = ", ".join(sorted(FAULTS.keys() - seconds.keys()))
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
    return [f"## {title}", "", *above, _row(head), _row(["---"] * len(head)), *written, ""]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
