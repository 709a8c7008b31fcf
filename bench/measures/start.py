"""`tally up`, from the command to the first answer."""

import sys
import tempfile
import time
from pathlib import Path

from bench.goals import Measure, at_most
from bench.processes import free_port, serving
from bench.rounds import Figures
from bench.testbed import TOTAL, Testbed

SECOND = Measure(
    "start", "`tally up`, second start, to the first answer", "s", must=at_most(3), aim=at_most(1)
)


def run(testbed: Testbed) -> None:
    """Start on a folder that was used before, again and again."""
    home = Path(tempfile.mkdtemp(prefix="up-", dir=testbed.folder))
    home.chmod(0o755)  # PostgreSQL, which never runs as root, must be able to enter
    _up(testbed, home)
    rounds = testbed.interleave("start", {"tally up": lambda: _up(testbed, home)})
    testbed.findings.add(SECOND, rounds.spread("tally up", "seconds"), rounds)


def _up(testbed: Testbed, home: Path) -> Figures:
    """Start, get the total once, stop; seconds to the answer."""
    port = free_port()
    command = [sys.executable, "-m", "tally", "up", "--port", str(port)]
    began = time.perf_counter()
    with serving(
        "up",
        command,
        testbed.folder,
        port=port,
        path=TOTAL,
        environment={"TALLY_DATA_DIR": str(home / "data")},
    ):
        return {"seconds": time.perf_counter() - began}
