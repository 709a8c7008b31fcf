"""What a rehearsal starts ends with it, whatever ends that, and passes on how it ended."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.processes import wait_for

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root makes processes a world of their own: run it as root"
)
# Nobody else waits for so long.
SECONDS = "86397"
SCRIPT = f"""
import signal, subprocess, sys, tempfile
from rehearsal import world
def stop(number, frame):
    sys.exit(7)
world.enter()
for it in (signal.SIGTERM, signal.SIGINT):
    signal.signal(it, stop)
subprocess.Popen(["sleep", "{SECONDS}"], start_new_session=True)
print(tempfile.mkdtemp(), flush=True)
signal.pause()
"""


def sleeping():
    """Whether what the script starts runs."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cmdline").read_bytes() == f"sleep\0{SECONDS}\0".encode():
                return True
    return False


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 7), (signal.SIGINT, 7), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_nothing_is_left(number, status) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        file = Path(process.stdout.readline().strip())
        assert sleeping()
        assert not file.exists()  # but inside
        process.send_signal(number)
        assert process.wait() == status
    wait_for(lambda: not sleeping())
