"""The embedded PostgreSQL in tests: hold a server, ask it, be refused by it."""

import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

import tally
from tally.embedded.binaries import find_binaries
from tally.embedded.postgres import EmbeddedError, start

AS_ROOT = os.geteuid() == 0
SOURCES = str(Path(tally.__file__).resolve().parents[1])
PACKAGES = str(find_binaries().parents[2])

# Starts a server, says so, and holds it until it is killed or its input ends.
HOLD = """
import sys
from pathlib import Path
from tally.embedded.postgres import EmbeddedError, start
try:
    with start(Path(sys.argv[1])) as server:
        print(server.pid, server.directory, flush=True)
        sys.stdin.read()
except EmbeddedError as error:
    sys.exit(str(error))
"""


def query(server, text):
    """Run one statement as the superuser; the first column of its first row."""

    async def ask():
        connection = await asyncpg.connect(server.admin_url)
        try:
            return await connection.fetchval(text)
        finally:
            await connection.close()

    return asyncio.run(ask())


@contextmanager
def another_process(script, *arguments, packages=PACKAGES, **options):
    python = options.pop("python", sys.executable)
    process = subprocess.Popen(
        [python, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{SOURCES}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process):
    """What a holding process printed: its server's process id and directory."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    pid, directory = line.rstrip("\n").split(" ", 1)
    return int(pid), Path(directory)


def refusal(directory):
    """The message of a start that must fail: always one line."""
    with pytest.raises(EmbeddedError) as caught:
        start(directory).stop()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message
