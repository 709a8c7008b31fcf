"""A display by itself, such as one that reads a standby."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import wait_for


@contextmanager
def display(database_url: str, directory: Path) -> Iterator[str]:
    """Serve a display with its logs in a directory; give its address."""
    notes = directory / "display.err"
    with notes.open("wb") as stderr, (directory / "display.log").open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "tally", "serve", "display", "--port", "0"],
            env={**os.environ, "TALLY_DATABASE_URL": database_url},
            stdout=stdout,
            stderr=stderr,
        )
    wait_for(
        lambda: " at http" in notes.read_text() or process.poll() is not None, said=notes.read_text
    )
    yield notes.read_text().partition(" at ")[2].split()[0]
    process.terminate()
    assert process.wait(timeout=60) == 0
