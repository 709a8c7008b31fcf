"""What the rehearsal showed: a page like that of `tally check`, and a document."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Final

import jinja2

from rehearsal.found import TCP, UDP
from rehearsal.outcome import Cell, Outcome
from rehearsal.reach import Result, Seen
from tally.aws.report import templates

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Matrix:
    """The cells by the names of their ends."""

    seen: list[Seen]

    @cached_property
    def _cells(self) -> dict[tuple[str, str], list[Seen]]:
        cells: dict[tuple[str, str], list[Seen]] = {}
        for it in self.seen:
            cells.setdefault((it.cell.source.name, it.cell.target.name), []).append(it)
        return cells

    @property
    def sources(self) -> list[str]:
        return list(dict.fromkeys(source for source, _ in self._cells))

    @property
    def targets(self) -> list[str]:
        return list(dict.fromkeys(target for _, target in self._cells))

    def text(self, source: str, target: str) -> str:
        """The ports that pass; those that pass between some interfaces only say so."""
        here = self._cells.get((source, target), [])
        every, passing = (
            Counter((it.cell.protocol, it.cell.port, it.cell.shown_ports) for it in some)
            for some in (here, [it for it in here if it.tried == Outcome.PASSES])
        )
        shown = [
            ports if count == every[protocol, port, ports] else f"{ports} (of some)"
            for (protocol, port, ports), count in sorted(passing.items())
        ]
        text = ", ".join(shown) or "·"
        return text if all(it.agrees for it in here) else f"! {text}"

    def state(self, source: str, target: str) -> str:
        """How `tally check`'s page shows a cell."""
        text = self.text(source, target)
        return "bad" if text.startswith("!") else "shut" if text == "·" else "open"


def facts(result: Result, at: datetime) -> str:
    """What was tried, and when."""
    found = result.found
    return (
        f"{len(found.interfaces)} network interfaces and {len(found.outsiders)} outside, as the"
        f" emulated AWS describes {found.name}; {len(result.look.seen):,} connections tried on"
        f" {at:%-d %B %Y at %H:%M UTC}."
    )


def verdict(result: Result) -> str:
    """The whole, in a sentence."""
    if result.good:
        return (
            "What is computed, what packets do and what the flow log says agree in every cell,"
            f" and so they do after each of {len(result.changes)} changes."
        )
    wrong = [it.name for it in result.changes if not it.good]
    said = [f"{len(result.look.disagreements)} cells disagree"]
    said += [f"changes not as predicted: {'; '.join(wrong)}"] if wrong else []
    said += [] if result.opened.good else ["an opened port was not noticed, or not closed again"]
    said += [f"not as declared: {it}" for it in result.undeclared]
    return f"{'; '.join(said)}."


def opened(result: Result) -> str:
    """What became of the opened port."""
    shut, during, after = result.opened.tried
    return f"{result.opened.cell}: {shut}; while it is opened: {during}; closed again: {after}."


def outcomes(result: Result) -> list[tuple[Outcome, int]]:
    """Each outcome, most frequent first."""
    return Counter(it.tried for it in result.look.seen).most_common()


def as_html(result: Result, at: datetime) -> str:
    """A page that needs nothing else."""
    environment = templates()
    loaders = [jinja2.FileSystemLoader(_HERE), environment.loader]
    environment.loader = jinja2.ChoiceLoader([it for it in loaders if it])

    def lines(*sides: set[tuple[Cell, Outcome]]) -> list[tuple[Cell, Outcome]]:
        return sorted(set().union(*sides), key=lambda it: str(it[0]))

    return environment.get_template("page.html").render(
        result=result,
        matrix=Matrix(result.look.seen),
        facts=facts(result, at),
        verdict=verdict(result),
        opened=opened(result),
        outcomes=outcomes(result),
        lines=lines,
    )


def as_markdown(result: Result, at: datetime) -> str:
    """The document, around what does not change."""
    matrix = Matrix(result.look.seen)
    return Template((_HERE / "document.md").read_text()).substitute(
        facts=facts(result, at),
        verdict=verdict(result),
        matrix=_table(
            ["from ↓ to →", *matrix.targets],
            [[it, *(matrix.text(it, other) for other in matrix.targets)] for it in matrix.sources],
        ),
        outcomes=_table(["outcome", "cells"], [[str(it), f"{n:,}"] for it, n in outcomes(result)]),
        tcp=len(result.found.ports(TCP)),
        udp=len(result.found.ports(UDP)),
        changes=_table(
            ["rule removed", "cells that changed", "as predicted"],
            [[it.name, str(len(it.tried)), "yes" if it.good else "no"] for it in result.changes],
        ),
        opened=opened(result),
        check="; ".join(result.opened.noticed),
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(it)} |" for it in lines)
