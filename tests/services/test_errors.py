"""What clients are told while the database is away, and how service resumes."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from tally.embedded import postgres
from tests.support.http import ENTRIES, logged


@pytest.fixture
def database():
    """A PostgreSQL that a test may stop and start."""
    folder = Path(tempfile.mkdtemp(prefix="tally-outage-"))
    folder.chmod(0o755)
    servers = [postgres.start(folder / "data")]
    yield servers
    servers[-1].stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_waits_a_set_time_then_says_so_and_resumes_by_itself(database, tally_up) -> None:
    running = tally_up(TALLY_DATABASE_URL=database[0].admin_url, TALLY_REQUEST_TIMEOUT="1")
    with httpx.Client(base_url=running.url, timeout=20) as client:
        assert client.post(ENTRIES, json={"value": 1}).status_code == 201
        folder = database[0].directory
        database[0].stop()

        started = time.monotonic()
        response = client.post(ENTRIES, json={"value": 2})
        assert time.monotonic() - started > 0.5
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert response.json()["outcome"] in ("not stored", "unknown")
        for path in (
            "/display_service/total",
            "/display_service/entries",
            "/display_service/events",
        ):
            assert client.get(path).status_code == 503
        assert client.post("/reset_service/resets").json()["outcome"] == "not stored"
        for name in ("adder", "display", "reset"):
            assert client.get(f"/{name}_service/healthz").status_code == 200
            assert client.get(f"/{name}_service/readyz").status_code == 503
        html = client.get("/adder_service", headers={"Accept": "text/html"})
        assert html.status_code == 200, "the form stays; the page says that there is no total"

        database.append(postgres.start(folder))
        while client.post(ENTRIES, json={"value": 4}).status_code != 201:
            pass
        for name in ("adder", "display", "reset"):
            assert client.get(f"/{name}_service/readyz").status_code == 200
        values = [e["value"] for e in client.get("/display_service/entries").json()["entries"]]
        assert "2" not in values
    running.stop()
    said = [line for line in logged(running) if line["event"].startswith("database ")]
    adder = [line["event"] for line in said if line["service"] == "adder"]
    assert adder == ["database lost", "database regained"]
    assert all(line["reason"] for line in said if line["event"] == "database lost")


async def test_a_full_queue_is_refused_at_once(database, tally_up) -> None:
    running = tally_up(
        TALLY_DATABASE_URL=database[0].admin_url,
        TALLY_QUEUE_LIMIT="10",
        TALLY_REQUEST_TIMEOUT="3",
    )
    database[0].stop()
    async with httpx.AsyncClient(base_url=running.url, timeout=20) as http:
        # The first leaves the queue for the batch that waits for the database; the second fills it.
        full = {"values": [1] * 10}
        waiting = []
        for _ in range(2):
            waiting.append(asyncio.create_task(http.post(ENTRIES, json=full)))
            await asyncio.sleep(0.5)
        response = await http.post(ENTRIES, json={"value": 2})
        assert not any(full.done() for full in waiting), "refused at once, while those still wait"
        assert (response.status_code, response.json()["outcome"]) == (503, "not stored")
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {503}
    running.stop()
