"""Processes that serve while they are measured: started, waited for, and stopped."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.01


class Missing(Exception):
    """What a measurement needs is not there; the text says how to get it, where that is known."""


class NotInstalled(Missing):
    """A program, or what one is built from; `package` is Debian's."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(f"{name} is not installed: apt install {package}")
        self.name = name
        self.package = package


class NotStarted(Exception):
    """A process ended, or did not answer in time; the text has its last words."""


# Where it is not of the program's own name.
_PACKAGES = {
    "go": "golang-go",
    "redis-benchmark": "redis-tools",
    "redis-cli": "redis-tools",
}


def need(program: str) -> str:
    """The path of a program, beside our Python or on the machine; raises `NotInstalled`."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(program, path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise NotInstalled(program, _PACKAGES.get(program, program))
    return found


@dataclass(frozen=True)
class Process:
    """A process that serves."""

    pid: int
    port: int = 0

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://{HOST}:{self.port}"

    def memory(self, field: str = "VmRSS") -> float:
        """Resident memory in MB, now or (`VmHWM`) at most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) / 1024

    def forget_peak(self) -> None:
        """Let `VmHWM` begin again from what is in use now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    answers: Callable[[], bool],
    environment: Mapping[str, str] = {},
) -> Iterator[int]:
    """Run a server for as long as the block takes; gives its process id once it answers.

    Its output goes to a file, as under a service manager, and is removed with it.
    """
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{name}: {log.read_text(errors='replace')[-1000:].strip()}")
            time.sleep(_POLL_SECONDS)
        yield process.pid
    finally:
        _stop(process)
        log.unlink()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def serving(
    name: str,
    command: Sequence[str],
    folder: Path,
    *,
    path: str,
    environment: Mapping[str, str] = {},
    port: int | None = None,
) -> Iterator[Process]:
    """Run an HTTP server until its `path` answers with a success, and then for the block.

    `{port}` in the command becomes the port, a free one where none is given.
    """
    port = port or free_port()
    command = [part.replace("{port}", str(port)) for part in command]
    with running(name, command, folder, lambda: _succeeds(port, path), environment) as pid:
        yield Process(pid, port)


def get(port: int, path: str) -> tuple[int, bytes]:
    """Ask for a path once; returns status and body, or raises OSError."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_START_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _succeeds(port: int, path: str) -> bool:
    try:
        return get(port, path)[0] in {200, 201}
    except ConnectionError:
        return False


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
