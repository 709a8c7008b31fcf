"""The server's process: launch it, watch it, shut it down; its pid file, and a bound on its log."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from tally.embedded.binaries import ENVIRONMENT, error_line
from tally.embedded.cluster import access_files
from tally.embedded.data_directory import DataDirectory
from tally.embedded.error import EmbeddedError

# Bounds replay of the log (at most about 1 GB) after a crash, on a slow disk.
_START_SECONDS: Final = 120.0
_ORPHAN_SECONDS: Final = 10.0  # sessions of a killed server end at their next look at it
_POLL_SECONDS: Final = 0.005
# A fast shutdown writes a checkpoint; an immediate one leaves that to the next start. Both keep
# every commit. PostgreSQL itself kills its sessions 5 s into an immediate shutdown. The first
# limit leaves room in the 10 s that a stop of the whole stack may take.
_SHUTDOWN_STEPS: Final = ((signal.SIGINT, 7.0), (signal.SIGQUIT, 6.0), (signal.SIGKILL, 5.0))
LOG_BYTES = 8 << 20
_LOG_CHECK_SECONDS: Final = 60.0
_LOG_TAIL_BYTES: Final = 16 << 10


class PidFile(NamedTuple):
    """What PostgreSQL writes into its `postmaster.pid`."""

    pid: int
    sockets: Path
    ready: bool


def read_pid_file(cluster: Path) -> PidFile | None:
    """Read the server's pid file; None without one, or while it is being written."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].isdigit():
        return None
    # Process id, data directory, start time, port, socket directory, address, memory, state; the
    # last ones appear as the server gets that far.
    lines += [""] * (8 - len(lines))
    return PidFile(int(lines[0]), Path(lines[4]), lines[7].strip() == "ready")


def is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether the process is the server of this cluster and not another with its old number."""
    if Path("/proc/self/cmdline").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return b"\0-D\0" + os.fsencode(cluster) + b"\0" in command
    listing = ["ps", "-p", str(pid), "-o", "command="]
    shown = subprocess.run(listing, capture_output=True, text=True, check=False)  # noqa: S603
    return f" -D {cluster} " in shown.stdout


def stop_leftover(cluster: Path) -> None:
    """Stop a server whose launcher was killed. The caller holds the lock, so nobody uses it."""
    found = read_pid_file(cluster)
    if found is None:
        return
    if not is_postmaster(found.pid, cluster):
        # A process that got the old number would look like a server, or, should it be the one
        # launched next, like a ready one. Sessions that may be left still keep PostgreSQL from
        # starting: it finds their shared memory by the cluster's inode.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        return
    for step, seconds in _SHUTDOWN_STEPS:
        with suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(found.pid, step)
        if _wait_until(lambda: not is_postmaster(found.pid, cluster), seconds):
            return
    raise EmbeddedError(
        f"process {found.pid} still runs on {cluster} and does not end; end it first"
    )


class Postmaster:
    """One process of PostgreSQL, its log's bound, and the lock that goes with it."""

    def __init__(self, data: DataDirectory, command: list[str], lock: int) -> None:
        """Run the command as the data's owner; `stop` closes `lock`. Raises OSError."""
        self._data = data
        self._files = {str(data.cluster / name): text for name, text in access_files(data).items()}
        self._lock = lock
        self._stopping = threading.Lock()
        self._stopped = False
        self._released = threading.Event()
        self._started: list[subprocess.Popen[str] | OSError] = []
        started = threading.Event()
        self._parent = threading.Thread(
            target=self._be_parent, args=(command, started), name="postgres-parent", daemon=True
        )
        self._parent.start()
        started.wait()
        outcome = self._started[0]
        if isinstance(outcome, OSError):
            raise outcome
        self.process = outcome

    def _be_parent(self, command: list[str], started: threading.Event) -> None:
        """Stay as long as PostgreSQL: it ends with the thread that started it."""
        try:
            self._started.append(self._spawn(command))
        except OSError as error:
            self._started.append(error)
            return
        finally:
            started.set()
        while not self._released.wait(_LOG_CHECK_SECONDS):
            bound_log(self._data.log)

    def _spawn(self, command: list[str]) -> subprocess.Popen[str]:
        # -I and -S keep the start of this short-lived interpreter fast and independent of
        # variables. A session of its own keeps a terminal's Ctrl-C from reaching the server.
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
            [
                *(sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py"))),
                *(str(os.getpid()), *map(str, self._data.account), str(self._data.log)),
                json.dumps(self._files),
                *command,
            ],
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,  # only until the child has opened the log
            text=True,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def _ready(self) -> bool:
        found = read_pid_file(self._data.cluster)
        return found is not None and found.pid == self.process.pid and found.ready

    def wait_until_ready(self) -> str | None:
        """Return None once the server takes connections; else end it and return why it does not."""
        reason = f"no answer within {_START_SECONDS:.0f} s"
        try:
            settled = _wait_until(lambda: self._ready or not self.alive, _START_SECONDS)
            if settled and self.alive:
                return None
            if settled:
                reason = self._why_it_ended()
        except BaseException:
            self.stop_process()
            raise
        self.stop_process()
        return reason

    def _why_it_ended(self) -> str:
        early = self.process.stderr.read() if self.process.stderr else ""
        return error_line(early or _tail(self._data.log))

    def stop_process(self) -> None:
        """Shut down and wait, leaving the lock."""
        for step, seconds in _SHUTDOWN_STEPS:
            self.process.send_signal(step)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
                break
        self._released.set()
        self._parent.join()
        if self.process.stderr:
            self.process.stderr.close()

    def stop(self) -> None:
        """Shut down, wait, and let go of the lock. May be repeated, from any thread."""
        with self._stopping:
            if self._stopped:
                return
            self.stop_process()
            os.close(self._lock)
            self._stopped = True


def launch(data: DataDirectory, command: list[str], lock: int) -> Postmaster:
    """Start the server and wait until it takes connections. Raises EmbeddedError.

    Tries again for a while if sessions of a killed server still hold its memory.
    """
    patience = time.monotonic() + _ORPHAN_SECONDS
    while True:
        postmaster = Postmaster(data, command, lock)
        reason = postmaster.wait_until_ready()
        if reason is None:
            return postmaster
        if "shared memory block" not in reason or time.monotonic() > patience:
            raise EmbeddedError(
                f"PostgreSQL did not start on {data.path}: {reason}; see {data.log}"
            )
        time.sleep(0.1)


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def bound_log(log: Path) -> None:
    """Empty a log that grew too large; PostgreSQL appends, so it goes on at the start."""
    with suppress(FileNotFoundError):  # removed by hand: nothing to bound
        descriptor = os.open(log, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_size > LOG_BYTES:
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
