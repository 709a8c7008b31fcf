"""Run the tests, tier after tier, and sum up: `python -m tests [TIER ...]`; all without one.

Tests that mostly wait are spread over workers. Guests, which wait for their boots, run beside the
emulated applies. What injects faults and measures runs alone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.left_out import COUNTS, table
from tests.support.tiers import TIERS

# One turn after the other; in each, the tiers of each process of pytest, side by side.
TURNS = (
    (("fast", "core", "browser"),),
    (("guests",), ("deployment",)),
    (("proofs",),),
)
NO_TESTS = 5  # pytest's exit status


@dataclass
class Run:
    """One process of pytest, and what came of it."""

    tiers: tuple[str, ...]
    status: int = 1
    seconds: float = 0
    processor: float = 0
    counts: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ", ".join(self.tiers)

    def _spread(self) -> list[str]:
        """Over workers, a file at a time. The tests of the other tiers share what is slow."""
        if not {"fast", "core", "browser"} & {*self.tiers}:
            return []
        # In the order of the files: those with the fewest tests are the slowest. Two workers wait a
        # third of their time.
        return ["-n", "3", "--dist=loadfile", "--no-loadscope-reorder"]

    def go(self, folder: Path) -> None:
        counts = folder / f"{self.tiers[0]}.json"
        began = time.monotonic()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "--durations=25", "--color=no"),
                *(f"--tier={tier}" for tier in self.tiers),
                *self._spread(),
            ],
            env=os.environ | {COUNTS: str(counts)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        closing = self._show_progress(process.stdout)
        _, status, used = os.wait4(process.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - began
        self.processor = used.ru_utime + used.ru_stime
        if counts.exists():
            described = json.loads(counts.read_text())
            self.counts, self.left_out = described["counts"], described["left_out"]
        sys.stdout.write("".join(closing))
        sys.stdout.flush()

    def _show_progress(self, lines: Iterator[str]) -> list[str]:
        """Print lines as they come; give those from the first failure or table on."""
        closing: list[str] = []
        for line in lines:
            if closing or (line.startswith("====") and "test session starts" not in line):
                closing.append(line)
            else:
                sys.stdout.write(f"{self.name} | {line}")
                sys.stdout.flush()
        return closing


def main(wanted: list[str]) -> int:
    if unknown := set(wanted) - set(TIERS):
        sys.stderr.write(f"no such tier: {', '.join(unknown)}; there are {', '.join(TIERS)}\n")
        return 2
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="tally-tests-") as folder:
        for turn in TURNS:
            asked = (tuple(it for it in tiers if not wanted or it in wanted) for tiers in turn)
            beside = [Run(tiers) for tiers in asked if tiers]
            with ThreadPoolExecutor(len(turn)) as pool:
                for done in [pool.submit(run.go, Path(folder)) for run in beside]:
                    done.result()
            runs += beside
    sys.stdout.write("\n".join(summary(runs)) + "\n")
    return max(0 if run.status == NO_TESTS else abs(run.status) for run in runs)


def summary(runs: list[Run]) -> Iterator[str]:
    """What all runs came to."""
    left_out: Counter[str] = Counter()
    yield f"\n{'tier':<20} {'passed':>6} {'failed':>6} {'left out':>8} {'s':>6} {'processor s':>11}"
    for run in runs:
        left_out.update(run.left_out)
        failed = run.counts.get("failed", 0) + run.counts.get("error", 0)
        yield (
            f"{run.name:<20} {run.counts.get('passed', 0):>6} {failed:>6}"
            f" {sum(run.left_out.values()):>8} {run.seconds:>6.0f} {run.processor:>11.0f}"
        )
        if run.status not in (0, 1, NO_TESTS):
            yield f"  pytest ended with status {run.status}"
    if left_out:
        yield "\nLeft out:"
        yield from table(left_out)
    total = Counter[str]()
    for run in runs:
        total.update(run.counts)
    together = f"{total['passed']} passed, {total['failed'] + total['error']} failed"
    yield f"\n{together}, {sum(left_out.values())} skipped"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
