"""The findings as text for a terminal, as JSON, and as one self-contained page."""

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from tally.aws.preflight.finding import Finding, Situation, Status
from tally.aws.report import templates

_MARKS: Final = {Status.GOOD: "ok  ", Status.BAD: "BAD ", Status.OPEN: "open"}
_INDENT: Final = " " * 6


def summary(findings: Sequence[Finding]) -> str:
    """Say in one line how it stands."""
    bad = [it.id for it in findings if it.status == Status.BAD]
    unknown = [it.id for it in findings if it.status == Status.OPEN]
    said = f"to mend first: {', '.join(bad)}" if bad else "nothing stands in the way"
    return f"{said}; not known: {', '.join(unknown)}" if unknown else said


def as_text(findings: Sequence[Finding], width: int = 100) -> str:
    """Give the table for a terminal."""
    lines: list[str] = []
    for it in findings:
        lines += _wrap(f"{_MARKS[it.status]}  {it.question} {it.answer}", width, "", it.id)
        if it.remedy:
            lines += _wrap(it.remedy, width, _INDENT)
    return "\n".join([*lines, "", summary(findings)])


def _wrap(text: str, width: int, indent: str, identifier: str = "") -> list[str]:
    return textwrap.wrap(
        f"{text} [{identifier}]" if identifier else text,
        width,
        initial_indent=indent,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_json(findings: Sequence[Finding]) -> bytes:
    """Give the findings as one JSON object."""
    bad = any(it.status == Status.BAD for it in findings)
    return msgspec.json.format(msgspec.json.encode({"good": not bad, "findings": findings}))


def as_html(situation: Situation, findings: Sequence[Finding]) -> str:
    """Give a page that needs nothing else: no script, no font, no other file."""
    return (
        templates()
        .get_template("preflight.html")
        .render(
            name=situation.aws.name,
            account=situation.aws.id,
            profile=situation.profile,
            taken_at=datetime.now(UTC),
            findings=findings,
            bad=any(it.status == Status.BAD for it in findings),
            said=summary(findings),
        )
    )
