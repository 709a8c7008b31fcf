"""What a run showed, for people: a Markdown document and a picture beside it."""

import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Final

from faults.chart import Struck, draw
from faults.checkers import BACK_WITHIN, DESCRIPTORS, MEMORY_BYTES, MEMORY_FACTOR, Verdict
from faults.history import FinalState, History, Record
from faults.schedule import KINDS
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
    final: FinalState,
    verdicts: Sequence[Verdict],
) -> None:
    """Write the report and its picture, in folders that exist.

    `seconds` is how long the run was asked to take; `versions` are of what took part, by name.
    Raises `OSError`, and `ValueError` for a run of less than a second.
    """
    struck = list(_struck(history, final))
    picture.write_text(draw(history.records(), struck), encoding="utf-8")
    link = Path(os.path.relpath(picture, document.parent)).as_posix()
    lines = [
        *_introduction(seed, seconds, versions, history, final),
        f"![Requests and faults over time]({link})",
        "",
        *_findings(verdicts),
        *_promises(verdicts),
        *_faults(struck),
        *_requests(history.records()),
        *_resources(final),
    ]
    document.write_text("\n".join(lines), encoding="utf-8")


def _struck(history: History, final: FinalState) -> Iterator[Struck]:
    """Pair each fault with its seconds until service was back, which come in the same order."""
    back: dict[str, deque[float | None]] = defaultdict(deque)
    for name, seconds in final.back:
        back[name].append(seconds)
    for fault in history.faults:
        yield Struck(fault, back[fault.name].popleft() if back[fault.name] else None)


def _introduction(
    seed: int, seconds: float, versions: Mapping[str, str], history: History, final: FinalState
) -> list[str]:
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        "# Faults",
        "",
        "Real processes serve real clients while everything is broken that can be. Each request",
        "and its answer is kept. In the end a judge, which uses none of Tally's own code, compares",
        "what the clients were told with what PostgreSQL holds.",
        "",
        f"This run: {len(history):,} requests, {len(final.entries):,} entries and"
        f" {len(history.faults)} faults in {_length(history):.0f} seconds. {named}.",
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
    for record in history.records():
        began = min(began, record.sent)
        ended = max(ended, record.sent if record.ended is None else record.ended)
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


def _faults(struck: Iterable[Struck]) -> list[str]:
    seconds: dict[str, list[float | None]] = defaultdict(list)
    for one in struck:
        seconds[one.fault.name].append(one.back)
    unseen = ", ".join(sorted(KINDS.keys() - seconds.keys()))
    return _table(
        "Faults",
        ("fault", "times struck", "longest until back, in seconds"),
        ((name, str(len(back)), _longest(back)) for name, back in sorted(seconds.items())),
        "Back is when every service has answered a request that was sent after the fault:"
        f" within {BACK_WITHIN:g} seconds."
        + (f" Left out of this run: {unseen}." if unseen else ""),
    )


def _longest(back: Sequence[float | None]) -> str:
    seen = [seconds for seconds in back if seconds is not None]
    return f"{max(seen):.2f}" if len(seen) == len(back) else "never"


def _requests(records: Iterable[Record]) -> list[str]:
    counts = Counter((record.kind, _outcome(record)) for record in records)
    kinds = dict.fromkeys(kind for kind, _ in counts)
    return _table(
        "Requests",
        ("request", *_OUTCOMES),
        ((kind, *(f"{counts[kind, outcome]:,}" for outcome in _OUTCOMES)) for kind in kinds),
    )


def _outcome(record: Record) -> str:
    if record.never_sent:
        return "not sent"
    if record.status is None:
        return "no answer"
    if known_without_effect(record):
        return "refused"
    if record.status >= 500:
        return "unknown (5xx)"
    return "replayed" if record.replayed else "answered"


def _resources(final: FinalState) -> list[str]:
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for process, kind, before, after in final.resources:
        found[process][kind] = before, after
    return _table(
        "Processes",
        ("process", "memory in MB", "open descriptors"),
        (
            (
                process,
                _change(kinds.get("memory"), 10**6),
                _change(kinds.get("descriptors"), 1),
            )
            for process, kinds in found.items()
        ),
        "After the warm-up, and at the end: memory at most"
        f" {MEMORY_FACTOR:g} times as much and {MEMORY_BYTES // 10**6} MB, and at most"
        f" {DESCRIPTORS} descriptors more.",
    )


def _change(found: tuple[int, int] | None, unit: int) -> str:
    return "not known" if found is None else " → ".join(f"{value // unit}" for value in found)


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
