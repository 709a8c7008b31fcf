"""A display that reads a streaming standby: the same totals, and it says how old they may be."""

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest
import schemathesis

from tests.support.command import run
from tests.support.contract import DOCUMENT
from tests.support.distribution_postgres import serving, standby_of
from tests.support.processes import wait_for
from tests.support.standby import display

DISPLAY = "/display_service"
TOTAL = f"{DISPLAY}/total"
COUNT = 2
CONTRACT = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """The addresses of a primary and of a standby that follows it."""
    with serving() as primary, standby_of(primary) as standby:
        yield primary, standby


def seen(client: httpx.Client, count: int) -> dict[str, Any]:
    """Wait until the display has so many entries, and give the total."""
    total: dict[str, Any] = {}

    def arrived() -> bool:
        total.update(client.get(TOTAL).json())
        return total["count"] == count

    wait_for(arrived, said=f"for {count} entries")
    return total


def execute(url: str, statement: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


@contextlib.contextmanager
def replay_paused(standby: str) -> Iterator[None]:
    execute(standby, "SELECT pg_wal_replay_pause()")
    yield
    execute(standby, "SELECT pg_wal_replay_resume()")


@contextlib.contextmanager
def receiver_stalled(standby: str) -> Iterator[None]:
    """All that was received is replayed, and nothing comes any more."""
    pid = execute(standby, "SELECT pid FROM pg_stat_wal_receiver")
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def in_page(client: httpx.Client, path: str) -> float:
    found = re.search(r"Read from a standby, which is (.*?)\.", client.get(path).text)
    assert found is not None
    if found[1] == "up to date":
        return 0
    [seconds] = re.findall("up to ([0-9]+) seconds? behind", found[1])
    return float(seconds)


def in_json(client: httpx.Client, _: str, query: str) -> float:
    answer = client.get(f"{DISPLAY}/{query}")
    CONTRACT[f"{DISPLAY}/{query.partition('?')[0]}"]["GET"].validate_response(answer)
    age: float = answer.json()["behind_seconds"]
    return age


def in_event(client: httpx.Client, name: str) -> float:
    with client.stream("GET", "/display_service/events", timeout=60) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line == f"event: {name}")
        age: float = json.loads(next(lines).removeprefix("data: "))["behind_seconds"]
        return age


def in_export(url: str, form: str) -> float:
    ran = run("export", "--format", form, TALLY_DATABASE_URL=url)
    assert ran.returncode == 0
    assert ran.stdout.count("\n") >= COUNT
    [age] = re.findall(r"read from a standby, up to ([0-9]+) s behind", ran.stderr)
    return float(age)


# Each way in which a display answers, and the command that exports.
WAYS: dict[str, Callable[[httpx.Client, str], float]] = {
    **{
        query: partial(in_json, query=query)
        for query in (
            *("total", "entries", "entries?before=1", "entries?range=day"),
            *("changes", "history", "history?range=day"),
        )
    },
    "CSV": lambda client, _: float(
        client.get(f"{DISPLAY}/entries.csv").headers["tally-behind-seconds"]
    ),
    "CSV of a day": lambda client, _: float(
        client.get(f"{DISPLAY}/entries.csv?range=day").headers["tally-behind-seconds"]
    ),
    "page": lambda client, _: in_page(client, DISPLAY),
    "home": lambda client, _: in_page(client, "/"),
    "event of a total": lambda client, _: in_event(client, "total"),
    "heartbeat": lambda client, _: in_event(client, "heartbeat"),
    "tally export": lambda _, url: in_export(url, "csv"),
    "tally export --format ndjson": lambda _, url: in_export(url, "ndjson"),
}


@pytest.mark.parametrize("stop", [replay_paused, receiver_stalled])
def test_a_display_on_a_standby_says_everywhere_how_old_it_may_be(
    pair, tally_up, tmp_path, stop
) -> None:
    primary, standby = pair
    running = tally_up(TALLY_DATABASE_URL=primary)
    add = f"{running.url}/adder_service/entries"
    assert httpx.post(add, json={"values": ["0.1", "0.2"]}).status_code == 201
    # The ledger itself has no age.
    assert "behind_seconds" not in httpx.get(running.url + TOTAL).json()
    assert "behind_seconds" not in httpx.get(f"{running.url}{DISPLAY}/entries").json()
    assert "tally-behind-seconds" not in httpx.get(f"{running.url}{DISPLAY}/entries.csv").headers
    assert "standby" not in httpx.get(running.url + DISPLAY).text
    with display(standby, tmp_path) as url, httpx.Client(base_url=url) as client:
        assert "behind_seconds" in seen(client, COUNT)
        with stop(standby):
            stopped = time.monotonic()
            httpx.post(add, json={"value": 5})
            time.sleep(1.2)
            for name, way in WAYS.items():
                least = time.monotonic() - stopped
                assert way(client, standby) >= least, name
        assert seen(client, COUNT + 1)["sum"] == "5.3"
    running.stop()


def test_a_standby_that_begins_without_its_primary_is_as_old_as_its_last_checkpoint() -> None:
    with contextlib.ExitStack() as primaries, serving_pair(primaries) as (primary, standby):
        assert run("migrate", TALLY_DATABASE_URL=primary).returncode == 0
        execute(primary, "CHECKPOINT")
        written = execute(primary, "SELECT pg_current_wal_lsn()::text")
        wait_for(lambda: execute(standby, f"SELECT pg_last_wal_replay_lsn() >= '{written}'"))
        execute(standby, "CHECKPOINT")
        primaries.close()
        stopped = time.monotonic()
        # All of its processes begin anew when one is killed, and there is no commit to replay.
        checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
        os.kill(execute(standby, checkpointer), signal.SIGKILL)
        wait_for(lambda: forgot(standby))
        least = time.monotonic() - stopped
        assert execute(standby, "SELECT tally.behind_seconds()") >= least


@contextlib.contextmanager
def serving_pair(primaries: contextlib.ExitStack) -> Iterator[tuple[str, str]]:
    """A primary, which ends before its standby where `primaries` does."""
    primary = primaries.enter_context(serving())
    with standby_of(primary) as standby:
        yield primary, standby


def forgot(standby: str) -> bool:
    try:
        return bool(execute(standby, "SELECT pg_last_xact_replay_timestamp() IS NULL"))
    except (OSError, asyncpg.PostgresError):
        return False
