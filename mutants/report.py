"""docs/mutants.md: the score of each file, and each mutant that survives, with its reason."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from mutants.mutant import ARROW, PACKAGE, modules
from mutants.scores import Score, together
from mutants.sql import MUTATIONS
from mutants.survivors import Name

_HEAD = """\
# Mutants

`make mutants ARGS=--all` makes one small change after another in what must never be wrong, runs the
tests of that layer, and writes this page. A mutant whose tests fail or take far too long is killed;
any other survives. [Decision 28](decisions/0028-mutants.md) says how, and which changes.

| file | mutants | killed | timed out | survived | score | seconds |
| --- | --- | --- | --- | --- | --- | --- |
"""
_SURVIVORS = """
The seconds are those of one worker; there is one for each processor.
{untried}
## Survivors

Each change, and why no test has to kill it.
"""


def document(scores: Mapping[str, Score], reasons: Mapping[Name, str]) -> str:
    """Write the page."""
    rows = [_row(f"`{file}`", score) for file, score in scores.items()]
    rows.append(_row("together", together(scores.values())))
    changed = {mutation.file for mutation in MUTATIONS}
    names = [
        str(it.relative_to(PACKAGE)) for it in modules() if it.suffix == ".py" or it.name in changed
    ]
    untried = ", ".join(f"`{name}`" for name in names if name not in scores)
    line = f"Not tried whole yet: {untried}.\n" if untried else ""
    rest = _SURVIVORS.format(untried=line and f"\n{line}")
    return "".join([_HEAD, *rows, rest, *_survivors(reasons)])


def _row(file: str, score: Score) -> str:
    counts = (score.mutants, score.killed, score.timed_out, score.survived, score.share)
    return f"| {' | '.join(map(str, (file, *counts)))} | {score.seconds:.0f} |\n"


def _survivors(reasons: Mapping[Name, str]) -> Iterator[str]:
    changes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (file, change), reason in reasons.items():
        changes[file, reason].append(change)
    for (file, reason), alike in changes.items():
        yield f"\n`{file}`: {reason}\n\n```diff\n"
        for change in alike:
            was, _, becomes = change.partition(ARROW)
            yield f"- {was}\n+ {becomes}\n"
        yield "```\n"
