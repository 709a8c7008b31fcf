"""A report as text for a terminal, as JSON, and as one self-contained page."""

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import jinja2
import msgspec

from tally.aws.check import Report, Result, Status
from tally.aws.reachability import Matrix

_MARKS: Final = {
    Status.PASS: "ok  ",
    Status.FAIL: "FAIL",
    Status.WAIVED: "waiv",
    Status.NOT_APPLICABLE: "n/a ",
}
_INDENT: Final = " " * 6


def summary(report: Report) -> str:
    """What a report says, in one line."""
    counts = ", ".join(f"{report.count(status)} {status}" for status in Status)
    verdict = (
        "everything required is there" if report.passed else "not everything required is there"
    )
    return f"{report.name} ({report.profile}) in account {report.account}: {verdict}: {counts}"


def as_text(report: Report, width: int = 100, *, everything: bool = False) -> str:
    """Give the table for a terminal: evidence where a result does not pass, or for all results."""
    lines: list[str] = []
    for concern, results in groupby(report.results, key=lambda result: result.concern):
        lines += ["", concern]
        for result in results:
            lines += _result_lines(result, width, everything)
    lines += ["", *_matrix_lines(report)]
    lines += [f"FAIL  waiver {stale}" for stale in report.stale_waivers]
    lines += ["", summary(report)]
    return "\n".join(lines[1:])


def _result_lines(result: Result, width: int, everything: bool) -> Iterator[str]:
    requirement = result.requirement
    controls = f" [{', '.join(requirement.controls)}]" if requirement.controls else ""
    head = f"{_MARKS[result.status]}  {requirement.id}: {requirement.title}{controls}"
    yield from _wrap(head, width)
    if result.waiver is not None:
        state = "waived" if result.status == Status.WAIVED else "waiver expired"
        waiver = result.waiver
        text = f"{state}: {waiver.reason} ({waiver.owner}, until {waiver.expires})"
        yield from _wrap(text, width, _INDENT)
    for it in result.evidence:
        if everything or not it.good or result.status == Status.NOT_APPLICABLE:
            yield from _wrap(f"{'' if it.good else '✗ '}{it.subject}: {it.what}", width, _INDENT)


def _wrap(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent or _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _matrix_lines(report: Report) -> Iterator[str]:
    matrix = report.matrix
    if matrix is None:
        return
    yield "Reachability: the ports that each (left) reaches of each (top); ! where not declared"
    targets = matrix.targets
    table = [["", *targets]]
    table += [[it, *(_cell(matrix, it, target) for target in targets)] for it in matrix.sources]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield "  ".join(padded).rstrip()
    yield ""
    for path, target in sorted(matrix.paths.items()):
        yield f"{path}  →  {target}"


def _cell(matrix: Matrix, source: str, target: str) -> str:
    ports = ", ".join(sorted(matrix.found.get((source, target), ())))
    return f"! {ports or 'nothing'}" if matrix.differs(source, target) else ports or "·"


def as_data(report: Report) -> dict[str, Any]:
    """Give what the JSON holds."""
    matrix = report.matrix
    return {
        "name": report.name,
        "account": report.account,
        "profile": report.profile,
        "address": report.address,
        "taken_at": report.taken_at,
        "passed": report.passed,
        "counts": {str(status): report.count(status) for status in Status},
        "requirements": [
            {
                "concern": result.concern,
                "id": result.requirement.id,
                "required": result.requirement.title,
                "controls": result.requirement.controls,
                "status": str(result.status),
                "evidence": result.evidence,
                "waiver": result.waiver,
            }
            for result in report.results
        ],
        "reachability": None
        if matrix is None
        else {
            "ports": [
                {
                    "from": source,
                    "to": target,
                    "found": sorted(matrix.found.get((source, target), ())),
                    "declared": sorted(matrix.declared.get((source, target), ())),
                }
                for source, target in matrix.pairs
            ],
            "paths": matrix.paths,
        },
        "stale_waivers": report.stale_waivers,
    }


def as_json(report: Report) -> bytes:
    """Give the report as one JSON object."""
    return msgspec.json.format(msgspec.json.encode(as_data(report)), indent=2)


def templates() -> jinja2.Environment:
    """The pages of this package."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tally.aws", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def as_html(report: Report) -> str:
    """Give the report as a page that needs nothing else: no script, no font, no other file."""
    concerns = [
        (concern, list(results))
        for concern, results in groupby(report.results, key=lambda result: result.concern)
    ]
    return (
        templates()
        .get_template("report.html")
        .render(
            report=report,
            concerns=concerns,
            status=Status,
            cell=_cell,
            slug=lambda text: text.lower().replace(" ", "-"),
        )
    )
