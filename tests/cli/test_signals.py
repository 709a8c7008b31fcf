"""A command that is told to end: it ends by that signal, and nothing of it stays."""

import fcntl
import logging
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tally.cli import signals
from tests.support.command import refusal, result, run
from tests.support.processes import wait_for

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """The data directory of a ledger with more than any pipe holds."""
    folder = Path(tempfile.mkdtemp(prefix="tally-signals-"))
    folder.chmod(0o755)
    made = folder / "data"
    result(run("migrate", "--json", TALLY_DATA_DIR=str(made)))
    values = map(str, range(9_000))
    result(run("add", "--json", *values, TALLY_DATA_DIR=str(made)))
    yield made
    shutil.rmtree(folder)


@contextmanager
def begun(
    *arguments: str, data: Path, before: Sequence[str] = (), **options: object
) -> Iterator["subprocess.Popen[str]"]:
    """A command that runs in a session of its own, as from a terminal."""
    with subprocess.Popen(
        [*before, sys.executable, "-m", "tally", *arguments],
        env={**os.environ, "TALLY_DATA_DIR": str(data)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def left(folder: Path) -> list[str]:
    """The commands of all processes that have to do with a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(folder) in command and int(entry.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode())
    return found


def heeds(process: "subprocess.Popen[str]") -> bool:
    """Whether Tally decides what a signal does to a process; until then, Python does.

    Python catches SIGINT after it has ignored SIGPIPE; Tally takes SIGINT back, then catches all.
    The moment between Python's two is too short to be met twice.
    """

    def decided() -> bool:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        sets = dict(it.split(":\t") for it in lines if it.startswith("Sig") and it[3] != "Q")

        def among(name: str, number: int) -> bool:
            return bool(int(sets[name], 16) >> (number - 1) & 1)

        back = among("SigIgn", signal.SIGPIPE) and not among("SigCgt", signal.SIGINT)
        return back or among("SigCgt", signal.SIGTERM)

    if not decided():
        return False
    time.sleep(0.01)
    return decided()


def unread(stream: IO[str]) -> int:
    """How many bytes a pipe holds."""
    held = fcntl.ioctl(stream, termios.FIONREAD, bytes(4))
    return int.from_bytes(held, sys.byteorder)


def assert_ended(process: "subprocess.Popen[str]", number: int, folder: Path) -> None:
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(60) == -number, said
    assert "Traceback" not in said
    # The kernel tells PostgreSQL of the end of one that was not waited for.
    wait_for(lambda: not left(folder), said=lambda: left(folder))
    assert not list(folder.rglob(".tally-*"))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda it: it.name)
@pytest.mark.parametrize(
    "arguments",
    [["export"], ["backup", "-"], ["restore", "-"], ["add", "--file", "-", "--format", "csv"]],
    ids=lambda it: it[0],
)
def test_a_long_command(data: Path, arguments: list[str], number: int) -> None:
    """Which waits, in the middle of its work, for somebody to read or to write."""
    folder = data.parent / "elsewhere" if arguments[0] == "restore" else data
    streams = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with begun(*arguments, data=folder, **streams) as process:
        if arguments[0] == "add":
            stdin = process.stdin
            assert stdin is not None
            stdin.write("value\n1\n")
            stdin.flush()
            wait_for(lambda: not unread(stdin))
        else:
            wait_for(lambda: any("postgres -D" in command for command in left(folder)))
        time.sleep(random.random())
        process.send_signal(number)
        assert_ended(process, number, data.parent)
    assert result(run("audit", "--json", TALLY_DATA_DIR=str(data)))["checked"] == 9_000
    if arguments[0] == "restore":
        assert "no ledger" in refusal(run("audit", TALLY_DATA_DIR=str(folder)), 3)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda it: it.name)
def test_up_stops_in_order_once_it_serves(tally_up, number: int) -> None:
    running = tally_up()
    assert running.stop(number) == 0
    assert not left(running.folder)
    notes = (running.folder / "stderr.log").read_text()
    assert "Traceback" not in notes
    assert notes.count("\n") == 1, "it said where it was, and nothing else"


def test_up_survives_a_terminal_that_closes_where_nohup_asks_for_it(data: Path) -> None:
    with begun("up", "--port", "0", data=data, before=["nohup"]) as process:
        assert process.stderr is not None
        assert any("Tally is at" in line for line in process.stderr)
        process.send_signal(signal.SIGHUP)
        assert run("audit", TALLY_DATA_DIR=str(data)).returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("command", [["up", "--port", "0"], ["migrate"], ["audit"]], ids=str)
def test_at_any_moment(data: Path, command: list[str]) -> None:
    """From Tally's first line on: no traceback, no server that stays, and the data is whole."""
    chance = random.Random(7)
    statuses = set()
    for _ in range(8):
        number = chance.choice(SIGNALS)
        with begun(*command, data=data, stdout=subprocess.PIPE) as process:
            wait_for(lambda: heeds(process))
            time.sleep(chance.random() * 1.5)
            process.send_signal(number)
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
            statuses.add(process.wait(60))
            assert statuses <= {0, *(-number for number in SIGNALS)}
        wait_for(lambda: not left(data), said=lambda: left(data))
    assert result(run("audit", "--json", TALLY_DATA_DIR=str(data)))["checked"] == 9_000


SWALLOWED = """
import gc, os, signal, time, weakref
from tally.cli import signals

def come(*_):
    os.kill(os.getpid(), signal.{name})

class Gone:
    pass

def destructor():
    Gone.__del__ = come
    Gone()

def weak_reference():
    gone = Gone()
    reference = weakref.ref(gone, come)
    del gone

def closed_generator():
    def generate():
        try:
            yield
        finally:
            come()
    next(generate())

signals.catch()
try:
    {place}()
    for _ in range(1000):
        time.sleep(0.01)
except KeyboardInterrupt:
    signals.end()
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda it: it.name)
@pytest.mark.parametrize("place", ["destructor", "weak_reference", "closed_generator"])
def test_a_signal_that_comes_where_nothing_can_be_raised(place: str, number: int) -> None:
    """Python would print the exception and go on."""
    program = SWALLOWED.format(place=place, name=signal.Signals(number).name)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (-number, "")


def test_what_else_can_t_be_raised_is_told() -> None:
    program = """from tally.cli import signals
class Gone:
    def __del__(self):
        1 / 0
signals.catch()
Gone()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert "ZeroDivisionError" in done.stderr


def test_what_libraries_log_is_nothing_for_a_command(monkeypatch, capfd) -> None:
    """As SQLAlchemy does, with a traceback, where a signal comes while it closes a connection."""

    async def close() -> None:
        logging.getLogger("any").error("closing")

    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        signals.run(close())
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert capfd.readouterr() == ("", "")


def test_a_question(ledger) -> None:
    """Ctrl-C at a question ends the command; no and the end of input change nothing."""
    command = [sys.executable, "-m", "tally", "reset"]
    environment = {**os.environ, "TALLY_DATABASE_URL": ledger.owner_url}
    for typed, status in (("\x03", -signal.SIGINT), ("n\n", 1), ("\x04", 1), ("y\n", 0)):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(command[0], command, environment)
        said = read_until(terminal, b"[y/N]")
        os.write(terminal, typed.encode())
        said += read_until(terminal, None)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status, said
        assert b"Traceback" not in said
        if status == 1:
            assert b"tally: nothing was changed" in said


def read_until(terminal: int, end: bytes | None) -> bytes:
    said = b""
    while end is None or end not in said:
        try:
            block = os.read(terminal, 1024)
        except OSError:  # Linux says so when the other side is closed
            return said
        if not block:
            return said
        said += block
    return said
