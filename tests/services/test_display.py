"""The display: entries in pages, CSV, and live totals."""

import asyncio
import json
import time

import httpx
import pytest

from tests.support.http import ENTRIES


def test_pages_of_entries_meet_without_gap_or_overlap(client) -> None:
    client.post("/reset_service/resets")
    client.post(ENTRIES, json={"values": list(range(1, 8))})
    seen, before = [], ""
    while True:
        page = client.get(f"/display_service/entries?limit=3{before}").json()["entries"]
        if not page:
            break
        seen += [entry["value"] for entry in page]
        before = f"&before={page[-1]['id']}"
    assert seen == ["7", "6", "5", "4", "3", "2", "1"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=ten",
        "limit=",
        "limit=1.0",
        "limit=1&limit=2",
        "before=0",
        "before=9223372036854775808",
        "before=1&before=1",
        "before=%D9%A1",
        "after=1",
        "%ff=1",
    ],
)
@pytest.mark.parametrize("path", ["/display_service/entries", "/reset_service/resets"])
def test_malformed_repeated_and_unknown_parameters_are_refused(client, path, query) -> None:
    response = client.get(f"{path}?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def memory(pid: int) -> int:
    """Resident memory in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_csv_streams_in_bounded_memory(tally_up) -> None:
    running = tally_up()
    values = list(range(10_000))
    for _ in range(30):
        httpx.post(running.url + ENTRIES, json={"values": values}, timeout=30).raise_for_status()
    before, most, size = memory(running.process.pid), 0, 0
    with httpx.stream("GET", f"{running.url}/display_service/entries.csv") as response:
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        assert "content-length" not in response.headers
        for part in response.iter_bytes():
            size += len(part)
            most = max(most, memory(running.process.pid))
    assert size > 12_000_000
    assert most - before < 8_000, f"{most - before} KiB more for {size} bytes"
    running.stop()


async def totals(stream: httpx.Response):
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def test_every_viewer_sees_every_change_soon_and_at_most_four_a_second(tally_up) -> None:
    running = tally_up()
    viewers = 100
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=running.url, limits=limits, timeout=20) as http:
        seen: list[list[tuple[float, int]]] = [[] for _ in range(viewers)]

        async def view(number: int) -> None:
            async with http.stream("GET", "/display_service/events") as stream:
                async for total in totals(stream):
                    seen[number].append((time.monotonic(), total["count"]))
                    if total["count"] == 21:
                        return

        tasks = [asyncio.create_task(view(number)) for number in range(viewers)]
        while not all(seen):  # noqa: ASYNC110 - looking is simpler than an event for each
            await asyncio.sleep(0.02)
        assert all(first[0][1] == 0 for first in seen), "the total now comes first"
        for _ in range(20):
            await http.post(ENTRIES, json={"value": 1})
            await asyncio.sleep(0.05)
        changed = time.monotonic()
        await http.post(ENTRIES, json={"value": 1})
        await asyncio.gather(*tasks)
    for one in seen:
        counts = [count for _, count in one]
        assert counts == sorted(set(counts)), "time never runs backwards"
        assert one[-1][0] - changed < 1.5
        assert len(one) <= 2 + 4 * (one[-1][0] - one[0][0])
    running.stop()


def test_a_quiet_stream_carries_a_comment(tally_up) -> None:
    running = tally_up()
    with httpx.stream("GET", f"{running.url}/display_service/events", timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: total"
        started = time.monotonic()
        assert next(line for line in lines if line.startswith(":")) == ": still here"
        assert time.monotonic() - started < 16
    running.stop()


def test_streams_end_at_once_when_the_service_stops(tally_up) -> None:
    running = tally_up()
    with httpx.stream("GET", f"{running.url}/display_service/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        asked = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - asked < 3
        list(lines)


def test_viewers_have_a_limit(tally_up) -> None:
    running = tally_up(TALLY_MAX_VIEWERS="1")
    events = f"{running.url}/display_service/events"
    with httpx.stream("GET", events) as stream:
        lines = stream.iter_lines()
        next(lines)
        refused = httpx.get(events)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
    running.stop()
