"""Processes that tests start: `tally up`, free ports, and waiting for what a process does."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


def wait_for(condition: Callable[[], object], seconds: float = 60, said: object = "") -> None:
    """Wait until a condition holds. The limit is for what never comes: a busy machine is slow."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain {said() if callable(said) else said}"
        time.sleep(0.01)


def unused_port() -> int:
    """A port that nothing listens on; somebody else may be given it before it is used."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def wait_until_answered(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait for a first answer of 200, as long as the process lives."""

    def answered() -> bool:
        assert process.poll() is None, f"ended with status {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=60):
                return True
        except OSError:  # nothing listens, or another status
            return False

    wait_for(answered, said=f"for {url}")


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def address(process: "subprocess.Popen[bytes]", notes: Path) -> str:
    """The address that a starting Tally writes to its standard error."""
    wait_for(
        lambda: "Tally is at " in notes.read_text() or process.poll() is not None,
        said=notes.read_text,
    )
    said = notes.read_text()
    assert "Tally is at " in said, f"tally did not start: {said}"
    return said.partition("Tally is at ")[2].split()[0]


@dataclass
class Running:
    """`tally up` as a person runs it: a process, its address and what it logs."""

    url: str
    process: "subprocess.Popen[bytes]"
    folder: Path
    log: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it by a signal; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def tally_up() -> Iterator[Callable[..., Running]]:
    """Start `tally up` on a free port, in a fresh folder unless one is given."""
    started: list[Running] = []
    folders: list[Path] = []

    def start(folder: Path | None = None, **environment: str) -> Running:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="tally-up-"))
            folder.chmod(0o755)
            folders.append(folder)
        log, notes = folder / "stdout.log", folder / "stderr.log"
        with log.open("ab") as stdout, notes.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tally", "up", "--port", environment.pop("PORT", "0")],
                env={**os.environ, "TALLY_DATA_DIR": str(folder / "data"), **environment},
                stdout=stdout,
                stderr=stderr,
            )
        running = Running(address(process, notes), process, folder, log)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(tally_up: Callable[..., Running]) -> Running:
    """One running Tally that many tests share; each brings its own keys and leaves values."""
    return tally_up()
