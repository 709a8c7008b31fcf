"""The display: entries in pages, and CSV."""

import asyncio
import contextlib
from collections import Counter

import httpx
import pytest

from tally.services import display
from tally.services.display import MAX_EXPORTS, Display
from tally.settings import Settings
from tally.web.problem import Problem
from tests.support.http import ENTRIES, connect


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
        httpx.post(running.url + ENTRIES, json={"values": values}, timeout=60).raise_for_status()
    before, most, size = memory(running.process.pid), 0, 0
    with httpx.stream("GET", f"{running.url}/display_service/entries.csv") as response:
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        assert response.headers["content-disposition"] == 'attachment; filename="tally.csv"'
        assert "content-length" not in response.headers
        for part in response.iter_bytes():
            size += len(part)
            most = max(most, memory(running.process.pid))
    assert size > 12_000_000
    assert most - before < 8_000, f"{most - before} KiB more for {size} bytes"
    # Many at once, none of which is read: a place is taken before anything is waited for.
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(connect(running)) for _ in range(40)]
        for connection in asked:
            connection.sendall(
                b"GET /display_service/entries.csv HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
        begun = Counter(connection.recv(12) for connection in asked)
    assert begun == {b"HTTP/1.1 200": MAX_EXPORTS, b"HTTP/1.1 503": len(asked) - MAX_EXPORTS}
    running.stop()


async def test_an_export_that_takes_too_long_ends_and_frees_its_place(ledger, monkeypatch) -> None:
    database = ledger.database("tally_display")
    service = Display(database, Settings())
    begun = 0

    async def never(piece: bytes) -> None:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(display, "EXPORT_SECONDS", 0.5)
    for _ in range(MAX_EXPORTS + 1):
        with pytest.raises(Problem, match="too slowly"):
            await service._write_csv(never, lambda behind: None)
    assert begun > 0
    await database.close()
