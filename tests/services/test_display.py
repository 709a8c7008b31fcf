"""The display: entries in pages, and CSV."""

import asyncio
import contextlib
import re
from collections import Counter

import httpx
import pytest

from tally.ledger.reader import NO_RANGE
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
        "until=1",
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
            await service._write_csv(NO_RANGE, never, lambda behind: None)
    assert begun > 0
    await database.close()


@pytest.fixture
def told(client):
    """A day's story: three entries, a reset, an undo; and one more."""
    client.post("/reset_service/resets")
    first = client.post(ENTRIES, json={"values": ["10", "20", "-5"]}).json()["first_id"]
    reset = client.post("/reset_service/resets").json()["id"]
    client.delete(f"/reset_service/resets/{reset}")
    client.post(ENTRIES, json={"value": "1"})
    return first, reset


def test_changes_follow_from_each_other(client, told) -> None:
    first, reset = told
    changes = client.get(f"/display_service/changes?limit=3&before={first + 4}").json()["changes"]
    assert [(change["kind"], change["id"]) for change in changes] == [
        ("entry", first + 3),
        ("undo", reset),
        ("reset", reset),
        ("entry", first + 2),
        ("entry", first + 1),
    ]
    assert [change["value"] for change in changes] == ["1", "25", "-25", "-5", "20"]
    assert [change["sum_after"] for change in changes] == ["26", "25", "0", "25", "30"]
    assert changes[2]["undone_at"] == changes[1]["at"]
    assert {change.get("cleared", False) for change in changes} == {False}


def test_history_says_what_the_total_was(client, told) -> None:
    first, _ = told
    page = client.get(f"/display_service/entries?before={first + 1}&limit=1").json()
    story = {"from": page["entries"][0]["added_at"]}
    history = client.get("/display_service/history", params=story).json()
    assert (history["lowest"]["sum"], history["points"][-1]["sum"]) == ("0", "26")
    assert [move["kind"] for move in history["moves"]][:2] == ["undo", "reset"]
    entry = client.get("/display_service/entries?limit=1").json()["entries"][0]
    until = {"to": entry["added_at"]}
    then = client.get("/display_service/history", params=until).json()
    assert then["points"][-1] == {"at": entry["added_at"], "after_id": entry["id"], "sum": "26"}
    later = {"from": "9000-01-01T00:00:00Z"}
    assert client.get("/display_service/history", params=later).json()["start"] == "26"
    early = {"to": "1000-01-01T00:00:00Z"}
    empty = client.get("/display_service/history", params=early).json()
    assert (empty["points"], empty["lowest"]) == ([], None)


def test_csv_and_entries_of_a_range_are_the_same(client, told) -> None:
    client.post("/reset_service/resets")
    assert client.get("/display_service/entries.csv").text.count("\n") == 1
    rows = client.get("/display_service/entries.csv?range=hour").text.splitlines()[1:]
    entries = client.get("/display_service/entries?range=hour&limit=1000").json()["entries"]
    assert [row.split(",")[0] for row in rows][-len(entries) :] == [
        str(entry["id"]) for entry in reversed(entries)
    ]


def test_a_page_of_a_range_begins_as_its_csv_and_reaches_what_came_later(client, told) -> None:
    first, _ = told
    entries = client.get(f"/display_service/entries?limit=1&before={first + 2}").json()["entries"]
    wanted = {"to": entries[0]["added_at"]}
    newest = client.get("/display_service/entries.csv", params=wanted).text.splitlines()[-1]
    page = client.get("/display_service", params=wanted).text
    shown = re.search(r'id="entry-(\d+)"', page)
    assert shown is not None
    assert shown[1] == newest.split(",")[0]
    # Where its top is, there is no way to the top, but one to what came later.
    assert 'id="top"' not in page
    newer = re.search(r'id="newer" href="[^"]*(\?[^"]*)#list"', page)
    assert newer is not None
    later = client.get(f"/display_service{newer[1].replace('&amp;', '&')}").text
    assert ('id="newer"' in later, 'id="top"' in later) == (False, True)


@pytest.mark.parametrize(
    "query", ["from=x", "to=2026", "range=year", "at=x", "entry=0", "before=x"]
)
def test_a_page_that_is_asked_for_nonsense_says_so(client, query) -> None:
    answer = client.get(f"/display_service?{query}", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert f"{query.partition('=')[0].capitalize()} must be" in answer.text
