"""`tally up`, from the command to the first answer."""

import sys
import tempfile
import time
from pathlib import Path

from bench.goals import Measure, at_most
from bench.process import serving
from bench.rounds import Figures
from bench.runner import TOTAL, Runner

SECOND = Measure(
    "start", "`tally up`, second start, to the first answer", "s", must=at_most(3), aim=at_most(1)
)


def run(runner: Runner) -> None:
    """Start on a folder that was used before, again and again."""
    home = Path(tempfile.mkdtemp(prefix="up-", dir=runner.folder))
    home.chmod(0o755)  # PostgreSQL, which never runs as root, must be able to enter
    _up(runner, home)
    rounds = runner.interleave("start", {"tally up": lambda: _up(runner, home)})
    runner.findings.add(SECOND, rounds.spread("tally up", "seconds"), rounds)


def _up(runner: Runner, home: Path) -> Figures:
    """Start, get the total once, stop; seconds to the answer."""
    command = [sys.executable, "-m", "tally", "up", "--port", "{port}"]
    began = time.perf_counter()
    with serving(
        "up",
        command,
        runner.folder,
        path=TOTAL,
        environment={"TALLY_DATA_DIR": str(home / "data")},
    ):
        return {"seconds": time.perf_counter() - began}
