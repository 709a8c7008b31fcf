"""Live totals: every viewer sees every change, at the price of one read."""

import asyncio
import json
import time

import httpx
import pytest

from tally.ledger.database import Unavailable
from tally.ledger.reader import Total
from tally.pages import static_files
from tally.services import events
from tally.services.events import Events
from tally.web.problem import Problem
from tests.support.http import ENTRIES


async def totals(stream: httpx.Response):
    async for line in stream.aiter_lines():
        if line.startswith("data: ") and line != "data: {}":
            yield json.loads(line.removeprefix("data: "))


async def test_every_viewer_sees_the_total_grow_to_the_last_change(tally_up) -> None:
    running = tally_up()
    viewers = 100
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=running.url, limits=limits, timeout=60) as http:
        seen: list[list[int]] = [[] for _ in range(viewers)]

        async def view(number: int) -> None:
            async with http.stream("GET", "/display_service/events") as stream:
                async for total in totals(stream):
                    seen[number].append(total["count"])
                    if total["count"] == 21:
                        return

        tasks = [asyncio.create_task(view(number)) for number in range(viewers)]
        while not all(seen):  # noqa: ASYNC110 - looking is simpler than an event for each
            await asyncio.sleep(0.02)
        assert all(counts[0] == 0 for counts in seen), "the total now comes first"
        for _ in range(20):
            await http.post(ENTRIES, json={"value": 1})
            await asyncio.sleep(0.05)
        await http.post(ENTRIES, json={"value": 1})
        await asyncio.gather(*tasks)
    for counts in seen:
        assert counts == sorted(set(counts)), "time never runs backwards"
    running.stop()


def test_a_quiet_stream_carries_heartbeats(tally_up) -> None:
    running = tally_up()
    with httpx.stream("GET", f"{running.url}/display_service/events", timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: total"
        for _ in range(2):
            assert next(line for line in lines if line.startswith("event:")) == "event: heartbeat"
            assert next(lines) == "data: {}", "browsers drop an event without data"
            assert next(lines) == ""
    running.stop()


def test_the_pages_expect_heartbeats_as_they_come() -> None:
    script = static_files()["live.js"].body.decode()
    assert f"HEARTBEAT_MS = {events.HEARTBEAT_EVERY * 1000:.0f};" in script


def test_streams_end_when_the_service_stops(tally_up) -> None:
    running = tally_up()
    with httpx.stream("GET", f"{running.url}/display_service/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        assert running.stop() == 0
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


class Source:
    """A total that a test changes; counts how often it is read."""

    def __init__(self):
        self.reads = 0
        self.total = Total(0, 0, 0)
        self.away = False

    async def __call__(self):
        self.reads += 1
        if self.away:
            raise Unavailable("away")
        return self.total


class Viewer:
    """Reads a stream in this process."""

    @classmethod
    async def open(cls, stream):
        self = cls()
        self.pieces = asyncio.Queue()
        self.heartbeats = 0
        self._leave = asyncio.Event()
        answer = await stream(None)
        self.task = asyncio.create_task(answer({"method": "GET"}, self._receive, self._send))
        return self

    async def _receive(self):
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message.get("body", b"").startswith(b"event: heartbeat\n"):
            self.heartbeats += 1
            self.heartbeat = json.loads(message["body"].partition(b"data: ")[2])
        elif message.get("body"):
            self.pieces.put_nowait(message["body"])

    async def next(self):
        kind, data, *_ = (await self.pieces.get()).decode().split("\n")
        return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def leave(self):
        self._leave.set()
        await self.task


@pytest.fixture
async def source():
    return Source()


@pytest.fixture
async def live(source):
    live = Events(source, max_viewers=2)
    live.start()
    yield live
    await live.stop()


async def test_a_change_is_sent_within_a_few_looks_and_to_all(live, source) -> None:
    viewers = [await Viewer.open(live.stream) for _ in range(2)]
    for viewer in viewers:
        assert (await viewer.next())[1]["count"] == 0
    source.total, reads = Total(5, 1, 1), source.reads
    for viewer in viewers:
        assert await viewer.next() == ("total", {"sum": "0.000000005", "count": 1, "last_id": 1})
    assert source.reads - reads <= 2 + events.SEND_EVERY / events.LOOK_EVERY


async def test_a_viewer_gets_at_most_four_totals_a_second(live, source, clock) -> None:
    viewer = await Viewer.open(live.stream)
    await viewer.next()
    began, sent = time.monotonic(), 0
    for number in range(1, 101):
        source.total = Total(number, number, number)
        await clock.advance(events.LOOK_EVERY)
        sent += not viewer.pieces.empty()
        while not viewer.pieces.empty():
            viewer.pieces.get_nowait()
    # The clock moves on by itself too, so the time that passed says how many are allowed.
    assert 10 < sent <= 1 + 4 * (time.monotonic() - began)


async def test_an_event_from_a_standby_says_how_old_it_may_be(live, source, clock) -> None:
    source.total = Total(0, 0, 0, behind=1.23456)
    viewer = await Viewer.open(live.stream)
    assert (await viewer.next())[1]["behind_seconds"] == 1.235
    # Growing older is no news, but heartbeats say it.
    while viewer.heartbeats < 2:
        source.total = Total(0, 0, 0, behind=source.total.behind + 1)
        await clock.advance(events.LOOK_EVERY)
    assert viewer.pieces.empty()
    assert viewer.heartbeat["behind_seconds"] > 5
    source.total = Total(1, 1, 1, behind=7.5)
    assert (await viewer.next())[1] == {
        "sum": "0.000000001",
        "count": 1,
        "last_id": 1,
        "behind_seconds": 7.5,
    }


async def test_nobody_is_sent_what_was_read_before_they_asked(live, source, monkeypatch) -> None:
    """Else a standby's age would say less than the viewer has waited."""
    released = asyncio.Event()

    async def read(self) -> Total:
        self.reads += 1
        number = self.reads
        await released.wait()
        return Total(number, number, number)

    monkeypatch.setattr(Source, "__call__", read)
    early = await Viewer.open(live.stream)
    while source.reads < 2:  # the viewer's own and the look's
        await asyncio.sleep(0)
    late = await Viewer.open(live.stream)
    while source.reads < 3:
        await asyncio.sleep(0)
    released.set()
    await early.next()
    assert (await late.next())[1]["count"] > 3


async def test_viewers_learn_that_the_database_is_away(live, source) -> None:
    viewer = await Viewer.open(live.stream)
    await viewer.next()
    source.away = True
    assert await viewer.next() == ("unavailable", {})
    source.away = False
    assert (await viewer.next())[0] == "total"


async def test_a_heartbeat_follows_a_look_and_replaces_no_news(live, source, monkeypatch) -> None:
    viewer = await Viewer.open(live.stream)
    await viewer.next()
    monkeypatch.setattr(events, "HEARTBEAT_EVERY", 0)
    source.away = True
    assert await viewer.next() == ("unavailable", {})
    seen, reads = viewer.heartbeats, source.reads
    while viewer.heartbeats < seen + 3:  # noqa: ASYNC110 - looking is simpler than an event
        await asyncio.sleep(0.01)
    assert source.reads >= reads + 2, "each heartbeat follows a look at the database"
    assert viewer.pieces.empty()
    source.away = False
    assert (await viewer.next())[0] == "total"


async def test_a_stream_that_ends_frees_its_place(live) -> None:
    # All at once: a place is taken before anything is waited for.
    viewers = [await Viewer.open(live.stream) for _ in range(20)]
    for refused in viewers[2:]:
        with pytest.raises(Problem, match="too many viewers"):
            await refused.task
    for viewer in viewers[:2]:
        await viewer.next()
    await viewers[0].leave()
    another = await Viewer.open(live.stream)
    await another.next()


async def test_a_stream_ends_after_its_time(live, source, monkeypatch) -> None:
    monkeypatch.setattr(events, "STREAM_SECONDS", 0)
    viewer = await Viewer.open(live.stream)
    await viewer.task
    monkeypatch.undo()
    viewer = await Viewer.open(live.stream)
    await viewer.next()
    reads = source.reads
    while source.reads < reads + 3:  # noqa: ASYNC110 - looking is simpler than an event
        await asyncio.sleep(0.01)
    assert not viewer.task.done()


async def test_a_stopping_service_ends_its_streams_without_another_look(live, source) -> None:
    viewer = await Viewer.open(live.stream)
    await viewer.next()
    reads = source.reads
    live.end_streams()
    await viewer.task
    assert source.reads <= reads + 1
    late = await Viewer.open(live.stream)
    with pytest.raises(Problem):
        await late.task
