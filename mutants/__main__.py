"""`python -m mutants`: make mutants of the code, and see that the tests kill each."""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Final

from mutants import report, scores, survivors
from mutants.changed import NoGit, changed_lines
from mutants.covering import TestsFail, record
from mutants.making import mutants_of
from mutants.mutant import PACKAGE, ROOT, modules, tests_of
from mutants.outcome import Outcome, Trial
from mutants.workers import try_out_all

DOCUMENT: Final = ROOT / "docs" / "mutants.md"
# The lines of each file; None is every line.
Wanted = dict[Path, Container[int] | None]


def main() -> int:
    """Return 0 if each was killed or may survive, 1 if not, 2 if that can't be told."""
    arguments = _arguments()
    try:
        wanted = _wanted(arguments)
        if not wanted:
            _say("no line of amount, web or the ledger has changed; for all mutants: ARGS=--all")
            return 0
        trials: list[Trial] = []
        left = _to_be_tried_whole(wanted)
        stopped = not _try_out(wanted, arguments.workers, trials, left)
    except (NoGit, TestsFail) as error:
        _say(f"mutants: {error}")
        return 2
    whole = [file for file, number in left.items() if number == 0]
    status = _conclude(whole, trials)
    if stopped:
        _say(f"stopped; tried whole and kept: {', '.join(whole) or 'nothing'}")
        return 2
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="all mutants, not only in changed lines")
    what.add_argument("files", nargs="*", default=[], type=Path, help="all mutants of these files")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _wanted(arguments: argparse.Namespace) -> Wanted:
    if arguments.all:
        return dict.fromkeys(modules())
    if arguments.files:
        return dict.fromkeys(file.resolve() for file in arguments.files)
    changed = changed_lines(ROOT)
    return {file: changed[file] for file in modules() if changed.get(file)}


def _to_be_tried_whole(wanted: Wanted) -> Counter[str]:
    """Count the mutants of each file. Where only some lines are tried, others may well survive."""
    counts = {
        str(file.relative_to(PACKAGE)): sum(1 for _ in mutants_of(file))
        for file, lines in wanted.items()
        if lines is None
    }
    return Counter(counts)


def _try_out(wanted: Wanted, workers: int, trials: list[Trial], left: Counter[str]) -> bool:
    """Try all, and note what comes of them; tell whether nobody has stopped it (Ctrl-C).

    A file's scores are written with the last of its mutants.
    """
    with tempfile.TemporaryDirectory(prefix="tally-mutants-") as folder:
        _say("running the tests with the code as it is, to see which lines each runs")
        tests = sorted({it for file in wanted for it in tests_of(file)})
        covering = record(tests, Path(folder), workers)
    mutants = (it for file, lines in wanted.items() for it in mutants_of(file, lines))
    trying = try_out_all(mutants, covering, workers)
    try:
        for trial in trying:
            trials.append(trial)
            if file := _finished(trial, left):
                _write(file, trials)
            if len(trials) % 100 == 0:
                _say(f"{len(trials)} tried")
            if trial.outcome is Outcome.SURVIVED:
                _say(f"{len(trials)}: survived: {trial.mutant}")
    except KeyboardInterrupt:
        trying.close()
        return False
    return True


def _finished(trial: Trial, left: Counter[str]) -> str | None:
    """Give the file of which this was the last mutant."""
    file = trial.mutant.path
    if file not in left:
        return None
    left[file] -= 1
    return None if left[file] else file


def _write(file: str, trials: list[Trial]) -> None:
    """Write a file's score, every mutant of which was tried."""
    score = scores.Score()
    for trial in trials:
        if trial.mutant.path == file:
            score.add(trial)
    scores.write(scores.read() | {file: score})
    DOCUMENT.write_text(report.document(scores.read(), survivors.reasons()))


def _conclude(whole: list[str], trials: list[Trial]) -> int:
    alive = [it.mutant for it in trials if it.outcome is Outcome.SURVIVED]
    reasons = survivors.reasons()
    unexplained = survivors.without_reason(alive, reasons)
    stale = survivors.without_survivor(alive, whole, reasons)
    for mutant in unexplained:
        _say(f"no test kills {mutant}")
    for file, change in stale:
        _say(f"mutants/survivors.toml has a reason for what did not survive: {file}: {change}")
    _say(
        f"{len(trials)} mutants: {len(trials) - len(alive)} killed, {len(alive)} survived,"
        f" {len(unexplained)} of these without a reason"
    )
    return 1 if unexplained or stale else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
