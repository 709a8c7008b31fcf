"""A display that reads a streaming standby: the same totals, and it says how old they may be."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.support.distribution_postgres import serving, standby_of
from tests.support.processes import wait_for

TOTAL = "/display_service/total"


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """The addresses of a primary and of a standby that follows it."""
    with serving() as primary, standby_of(primary) as standby:
        yield primary, standby


@contextlib.contextmanager
def display(url: str, directory: Path) -> Iterator[httpx.Client]:
    """A display by itself."""
    notes = directory / "display.err"
    with notes.open("wb") as stderr, (directory / "display.log").open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "tally", "serve", "display", "--port", "0"],
            env={**os.environ, "TALLY_DATABASE_URL": url},
            stdout=stdout,
            stderr=stderr,
        )
    wait_for(
        lambda: " at http" in notes.read_text() or process.poll() is not None, said=notes.read_text
    )
    with httpx.Client(base_url=notes.read_text().partition(" at ")[2].split()[0]) as client:
        yield client
    process.terminate()
    assert process.wait(timeout=60) == 0


def until(client: httpx.Client, wanted: dict[str, object]) -> None:
    wait_for(lambda: wanted.items() <= client.get(TOTAL).json().items(), said=f"for {wanted}")


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def test_a_display_on_a_standby_says_how_far_behind_it_may_be(pair, tally_up, tmp_path) -> None:
    primary, standby = pair
    running = tally_up(TALLY_DATABASE_URL=primary)
    add = f"{running.url}/adder_service/entries"
    assert httpx.post(add, json={"values": ["0.1", "0.2"]}).status_code == 201
    assert "behind_seconds" not in httpx.get(running.url + TOTAL).json()
    with display(standby, tmp_path) as client:
        until(client, {"sum": "0.3", "count": 2, "behind_seconds": 0})
        assert "standby, which is up to date" in client.get("/display_service").text
        assert client.get("/display_service/entries").json()["entries"][0]["value"] == "0.2"
        assert client.get("/display_service/entries.csv").text.count("\n") == 3

        execute(standby, "SELECT pg_wal_replay_pause()")
        httpx.post(add, json={"value": 5})
        time.sleep(1.2)
        behind = client.get(TOTAL).json()
        assert (behind["sum"], behind["count"]) == ("0.3", 2)
        assert behind["behind_seconds"] >= 1.2
        page = client.get("/display_service").text
        assert re.search("standby, which is up to [0-9]+ seconds behind", page)

        execute(standby, "SELECT pg_wal_replay_resume()")
        until(client, {"sum": "5.3", "count": 3, "behind_seconds": 0})
    running.stop()
