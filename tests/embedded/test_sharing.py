"""Several commands on one data directory at once: they share a server, or wait for each other."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.command import refusal, result, run
from tests.support.embedded_postgres import another_process
from tests.support.processes import wait_for

# Takes the data directory for itself, as a command does, until its input ends.
KEEP = """
import sys
from pathlib import Path
from tally.embedded.sharing import attach_or_start
with attach_or_start(Path(sys.argv[1]), print) as server:
    print(server.pid, server.directory, flush=True)
    sys.stdin.read()
"""


def start(*arguments: str, data: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tally", *arguments],
        env={**os.environ, "TALLY_DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: "subprocess.Popen[str]") -> str:
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    return stdout


def test_a_ledger_that_several_make_at_once(roomy: Path) -> None:
    data = roomy / "data"
    made = [start("migrate", data=data) for _ in range(4)]
    said = sorted(outcome(process).split()[0] for process in made)
    assert said == ["already", "already", "already", "migrated"]


def test_commands_at_once_wait_for_each_other(roomy: Path) -> None:
    data = roomy / "data"
    result(run("migrate", "--json", TALLY_DATA_DIR=str(data)))
    adding = [start("add", "1", data=data) for _ in range(4)]
    kept = str(roomy / "kept")
    others = [start(*it, data=data) for it in (["export"], ["audit"], ["backup", kept])]
    for process in (*adding, *others):
        outcome(process)
    assert result(run("audit", "--json", TALLY_DATA_DIR=str(data)))["checked"] == 4


def test_commands_beside_a_tally_that_starts(roomy: Path) -> None:
    """Some are there before its server is; some use it; none has a server of its own beside it."""
    data = roomy / "data"
    result(run("migrate", "--json", TALLY_DATA_DIR=str(data)))
    serving = start("up", "--port", "0", data=data)
    adding = [start("add", "1", data=data) for _ in range(4)]
    for process in adding:
        outcome(process)
    assert serving.stderr is not None
    url = next(it.split()[-1] for it in serving.stderr if "Tally is at" in it)
    assert httpx.get(f"{url}/display_service/total").json()["count"] == 4
    assert len(servers(data)) == 1
    assert "in use by process" in refusal(run("up", "--port", "0", TALLY_DATA_DIR=str(data)), 3)
    serving.terminate()
    serving.communicate(timeout=60)
    assert serving.returncode == 0
    assert servers(data) == []


def servers(data: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(data / "cluster") in words and words[0].endswith(b"/postgres"):
            found.append(int(entry.parent.name))
    return found


@pytest.mark.parametrize("arguments", [["up", "--port", "0"], ["audit"]], ids=" ".join)
def test_whoever_has_to_wait_says_for_whom(roomy: Path, arguments: list[str]) -> None:
    data = roomy / "data"
    result(run("migrate", "--json", TALLY_DATA_DIR=str(data)))
    with another_process(KEEP, data) as keeping:
        assert keeping.stdout.readline()
        waiting = start(*arguments, data=data)
        assert waiting.stderr is not None
        line = waiting.stderr.readline()
        assert line == f"waiting for process {keeping.pid}, which uses the data directory\n"
        assert waiting.poll() is None
        keeping.communicate("", timeout=60)
        if arguments[0] == "up":
            assert "Tally is at" in waiting.stderr.readline()
            waiting.terminate()
        outcome(waiting)


def test_a_wait_can_be_given_up(roomy: Path) -> None:
    """Whoever waits has started nothing: neither the command nor, for root, what keeps a server."""
    data = roomy / "data"
    result(run("migrate", "--json", TALLY_DATA_DIR=str(data)))
    with another_process(KEEP, data) as keeping:
        assert keeping.stdout.readline()
        waiting = start("up", "--port", "0", data=data)
        assert waiting.stderr is not None
        assert waiting.stderr.readline()
        waiting.terminate()
        waiting.communicate(timeout=60)
        assert waiting.returncode == -15
        wait_for(lambda: len(servers(data)) == 1)
        keeping.communicate("", timeout=60)
    wait_for(lambda: servers(data) == [])
