"""Live means live, in a real browser: many windows, dead connections, no network."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tally.embedded import postgres
from tests.support.browser import patient_context
from tests.support.distribution_postgres import serving, standby_of
from tests.support.freezing_proxy import FreezingProxy, freezing_proxy
from tests.support.http import ENTRIES
from tests.support.processes import Running, unused_port, wait_for
from tests.support.standby import display

PAGES = ("/display_service", "/", "/adder_service", "/reset_service")
# Three heartbeats: what must come at last comes within it on any machine.
PATIENCE_MS = 30_000
# What a browser without SharedWorker has: nothing of that name.
NO_WORKER = "delete window.SharedWorker"
LIVE = re.compile("^Live$")
LOST = re.compile(r"^Reconnecting… last updated at \d+:\d\d:\d\d")
OFFLINE = re.compile(r"^Offline last updated at \d+:\d\d:\d\d")


@pytest.fixture(scope="module")
def metrics() -> str:
    return f"http://127.0.0.1:{unused_port()}/metrics"


@pytest.fixture(scope="module")
def tally(tally_up: Callable[..., Running], metrics: str) -> Running:
    port = metrics.removesuffix("/metrics").rpartition(":")[2]
    return tally_up(TALLY_METRICS_PORT=port)


@pytest.fixture
def streams(metrics: str) -> Callable[[], int]:
    """How many event streams the server counts."""

    def streams() -> int:
        [count] = re.findall(r"^tally_viewers (\d+)", httpx.get(metrics).text, re.MULTILINE)
        return int(count)

    wait_for(lambda: streams() == 0, said="for the streams of the test before to end")
    return streams


@pytest.fixture
def proxy(tally: Running) -> Iterator[FreezingProxy]:
    with freezing_proxy(tally.url) as proxy:
        yield proxy


@pytest.fixture
def context(browser, tally: Running) -> Iterator[BrowserContext]:
    yield from patient_context(browser, tally.url, PATIENCE_MS)


@pytest.fixture
def add(tally: Running) -> Callable[[], str]:
    """Add 1, past any proxy; return the sum that all should show."""

    def add() -> str:
        answer = httpx.post(f"{tally.url}{ENTRIES}", json={"value": 1})
        return str(answer.json()["sum"])

    return add


def open_window(context: BrowserContext, address: str = "/") -> Page:
    page = context.new_page()
    page.goto(address)
    return page


def says(page: Page, text: re.Pattern[str]) -> None:
    expect(page.locator("[data-link]")).to_have_text(text, timeout=PATIENCE_MS)


def shows(page: Page, total: str) -> None:
    expect(page.locator(".sum data")).to_have_attribute("value", total, timeout=PATIENCE_MS)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Let nobody read the total; from a thread, since a browser's tests have no loop to spare."""
    held, release = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE tally.total")
            held.set()
            await asyncio.to_thread(release.wait)
        await connection.close()

    with ThreadPoolExecutor() as threads:
        holding = threads.submit(asyncio.run, hold())
        try:
            wait_for(lambda: held.is_set() or holding.done(), said="for the lock")
            yield
        finally:
            release.set()
            holding.result()


def look_away(page: Page, *, away: bool) -> None:
    """Hide a window or bring it back: all windows of a browser without a screen are visible."""
    page.evaluate(
        """away => {
            Object.defineProperty(document, "hidden", { value: away, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        away,
    )


def test_twenty_windows_are_live_by_one_stream_whichever_is_closed(context, add, streams) -> None:
    windows = [open_window(context, PAGES[number % len(PAGES)]) for number in range(20)]
    total = add()
    for page in windows:
        says(page, LIVE)
        shows(page, total)
    assert streams() == 1
    # Whichever window opened the stream, it goes on.
    for kept in (10, 1):
        while len(windows) > kept:
            windows.pop(0).close()
        total = add()
        for page in windows:
            shows(page, total)
        assert streams() == 1
    windows[0].close()
    wait_for(lambda: streams() == 0, said="for the last stream to end")


def test_a_frozen_connection_is_noticed_in_every_window_and_live_again_after(
    context, add, streams, proxy
) -> None:
    windows = [open_window(context, f"{proxy.url}{path}") for path in PAGES]
    before = add()
    for page in windows:
        says(page, LIVE)
        shows(page, before)
    proxy.freeze()
    after = add()
    for page in windows:
        says(page, LOST)
        shows(page, before)
    proxy.thaw()
    for page in windows:
        says(page, LIVE)
        shows(page, after)
    wait_for(lambda: streams() == 1, said="for the streams that were given up to end")


def test_a_window_opened_during_silence_says_so(context, add, proxy) -> None:
    first = open_window(context, proxy.url)
    says(first, LIVE)
    proxy.freeze()
    says(first, LOST)
    proxy.thaw()
    second = open_window(context, f"{proxy.url}/display_service")
    total = add()
    for page in (first, second):
        says(page, LIVE)
        shows(page, total)


def test_heartbeats_of_a_display_without_its_database_are_not_life(context, tally_up) -> None:
    own = tally_up(TALLY_REQUEST_TIMEOUT="1")
    server = postgres.running(own.folder / "data")
    assert server is not None
    page = open_window(context, own.url)
    says(page, LIVE)
    with httpx.stream("GET", f"{own.url}/display_service/events", timeout=60) as stream:
        lines = stream.iter_lines()
        with locked(server.admin_url):
            says(page, LOST)
            for _ in range(2):
                assert "event: heartbeat" in lines
            assert LOST.match(page.locator("[data-link]").text_content() or "")
        says(page, LIVE)
    own.stop()


@pytest.mark.parametrize("script", ["", NO_WORKER], ids=["shared", "alone"])
def test_offline_is_said_until_the_total_is_live_again(context, add, proxy, script) -> None:
    context.add_init_script(script)
    page = open_window(context, proxy.url)
    says(page, LIVE)
    before = add()
    shows(page, before)
    # The browser says that the network is away, and it is.
    proxy.freeze()
    context.set_offline(True)
    says(page, OFFLINE)
    after = add()
    shows(page, before)
    context.set_offline(False)
    says(page, LOST)
    proxy.thaw()
    says(page, LIVE)
    shows(page, after)


def test_a_network_that_returns_is_asked_at_once(context, add, proxy) -> None:
    context.add_init_script(NO_WORKER)
    page = context.new_page()
    page.clock.install()
    page.goto(proxy.url)
    says(page, LIVE)
    # From here on no timer of the page fires: what it does, it does by the browser's word.
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=10))
    proxy.freeze()
    context.set_offline(True)
    says(page, OFFLINE)
    with page.expect_request("**/events"):
        context.set_offline(False)
    proxy.thaw()
    shows(page, add())
    says(page, LIVE)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_hides_no_total_and_no_silence(context, add, proxy, hours) -> None:
    context.add_init_script(NO_WORKER)
    page = context.new_page()
    page.clock.install()
    page.goto(proxy.url)
    says(page, LIVE)
    page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=hours))
    shows(page, add())
    says(page, LIVE)
    proxy.freeze()
    says(page, LOST)
    proxy.thaw()
    says(page, LIVE)


def test_a_window_that_was_suspended_is_not_shown_as_dead(context, add) -> None:
    page = open_window(context)
    says(page, LIVE)
    page.evaluate(
        """() => {
            window.said = [];
            const place = document.querySelector("[data-link]");
            new MutationObserver(() => window.said.push(place.textContent))
                .observe(place, { childList: true, characterData: true, subtree: true });
        }"""
    )
    session = context.new_cdp_session(page)
    session.send("Debugger.enable")
    session.send("Debugger.pause")
    # Longer than the silence that a page takes for death.
    time.sleep(12)
    total = add()
    session.send("Debugger.resume")
    session.send("Debugger.disable")
    shows(page, total)
    says(page, LIVE)
    assert not [text for text in page.evaluate("window.said") if LOST.match(text)]


def test_neither_a_late_look_nor_the_one_after_it_at_once_decides(context) -> None:
    page = context.new_page()
    page.goto("/nowhere")
    looks = page.evaluate(
        """() => {
            let now = 0, tick, looks = 0;
            Date.now = () => now;
            window.setInterval = (act) => { tick = act; };
            lookOften(() => looks++);
            return [1000, 2000, 9600, 10000, 11000, 12000].map((at) => {
                now = at;
                tick();
                return looks;
            });
        }"""
    )
    # As after a lid was closed: the one due at 3 s comes at 9.6 s, and the next in its rhythm.
    assert looks == [1, 2, 2, 2, 3, 4]


def test_the_windows_outlive_their_worker(browser, context, add, streams) -> None:
    windows = [open_window(context, path) for path in PAGES]
    for page in windows:
        says(page, LIVE)
    session = browser.new_browser_cdp_session()

    def workers() -> list[str]:
        asked = session.send("Target.getTargets", {"filter": [{"type": "shared_worker"}]})
        return [str(target["targetId"]) for target in asked["targetInfos"]]

    # It is gone, as with the process that it ran in; no window is told.
    [worker] = workers()
    session.send("Target.closeTarget", {"targetId": worker})
    wait_for(lambda: not workers(), said="for the worker to end")
    total = add()
    for page in windows:
        shows(page, total)
        says(page, LIVE)
    assert len(workers()) == 1
    wait_for(lambda: streams() == 1, said="for the stream of the dead worker to end")


def test_without_shared_workers_each_window_that_is_seen_has_a_stream(
    context, add, streams
) -> None:
    context.add_init_script(NO_WORKER)
    pages = [open_window(context) for _ in range(2)]
    total = add()
    for page in pages:
        says(page, LIVE)
        shows(page, total)
    assert streams() == 2
    look_away(pages[0], away=True)
    wait_for(lambda: streams() == 1, said="for the stream of the hidden window to end")
    total = add()
    shows(pages[1], total)
    look_away(pages[0], away=False)
    shows(pages[0], total)
    says(pages[0], LIVE)
    assert streams() == 2


def test_a_worker_that_does_not_load_is_no_loss(context, add, streams) -> None:
    context.add_init_script(
        "const Real = SharedWorker;"
        "window.SharedWorker = function (address) { return new Real(address + '/none'); }"
    )
    page = open_window(context)
    total = add()
    says(page, LIVE)
    shows(page, total)
    assert streams() == 1


def test_a_window_says_how_old_the_total_of_a_standby_is(browser, tally_up, tmp_path) -> None:
    with ExitStack() as servers:
        primary = servers.enter_context(serving())
        standby = servers.enter_context(standby_of(primary))
        running = tally_up(TALLY_DATABASE_URL=primary)
        context = browser.new_context(base_url=servers.enter_context(display(standby, tmp_path)))
        httpx.post(f"{running.url}{ENTRIES}", json={"value": 1})
        page = open_window(context, "/display_service")
        shows(page, "1")
        age = page.locator("[data-behind]")
        expect(age).to_have_text(re.compile("up to date|up to [0-9]+ seconds? behind"))
        _execute(standby, "SELECT pg_wal_replay_pause()")
        httpx.post(f"{running.url}{ENTRIES}", json={"value": 1})
        # Two heartbeats later: nothing but they can say it.
        expect(age).to_have_text(re.compile("up to 1[0-9] seconds behind"), timeout=2 * PATIENCE_MS)
        says(page, LIVE)
        _execute(standby, "SELECT pg_wal_replay_resume()")
        shows(page, "2")
        context.close()
        running.stop()


def _execute(url: str, statement: str) -> None:
    with ThreadPoolExecutor() as threads:
        threads.submit(asyncio.run, _run(url, statement)).result()


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
