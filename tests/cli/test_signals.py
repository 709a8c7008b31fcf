"""A command that is told to end: it ends by that signal, and nothing of it stays."""

import logging
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
        if arguments[0] != "add":
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
    """From the first import on: no traceback, no server that stays, and the data is whole."""
    chance = random.Random(7)
    statuses = set()
    for _ in range(8):
        number = chance.choice(SIGNALS)
        with begun(*command, data=data, stdout=subprocess.PIPE) as process:
            # Python itself needs some milliseconds until it heeds anybody.
            time.sleep(0.1 + chance.random() * 1.5)
            process.send_signal(number)
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
            statuses.add(process.wait(60))
            assert statuses <= {0, *(-number for number in SIGNALS)}
        wait_for(lambda: not left(data), said=lambda: left(data))
    assert result(run("audit", "--json", TALLY_DATA_DIR=str(data)))["checked"] == 9_000


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
