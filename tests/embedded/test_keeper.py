"""The process that keeps PostgreSQL for services that gave up root."""

import subprocess
import sys
from pathlib import Path

# Says what it has to say, and lives on until it was told to stop.
SLOW = """
import sys, threading
from tally.embedded import keeper
say = keeper._say
def slowly(**fields):
    say(**fields)
    for thread in threading.enumerate():
        if thread.name == "keeper-listener":
            thread.join()
keeper._say = slowly
keeper.main(sys.argv[1])
"""


def test_one_that_could_not_start_is_stopped_in_silence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path / "file" / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as keeper:
        assert keeper.stdout is not None
        assert '"error"' in keeper.stdout.readline()
        assert keeper.communicate("stop", timeout=60) == ("", "")
        assert keeper.returncode == 0


# Has read what it is told before it goes on.
EARLY = """
import sys, threading
from tally.embedded import keeper
start = threading.Thread.start
def start_and_wait(thread):
    start(thread)
    thread.join()
threading.Thread.start = start_and_wait
keeper.main(sys.argv[1])
"""


def test_one_that_is_stopped_before_it_began_ends_in_silence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY, str(tmp_path / "data")],
        input="stop",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
