"""The server: it starts, answers, is told to stop by a signal, and stops."""

import asyncio
import gc
import os
import resource
import signal
import socket
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from tally.web.server import Server, listen, raise_file_limit, url_of
from tests.support.http import connect, logged
from tests.support.postgres import PATIENCE

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@dataclass
class Application:
    """Says what it hears of the client, and never answers who asks for /hang."""

    lives: list[str] = field(default_factory=list)
    hangs: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                self.lives.append(kind)
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["path"] == "/hang":
            self.hangs.set()
            await asyncio.Event().wait()
        body = f"{scope['scheme']} {scope['client'][0]}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Started:
    """A server that runs as `task`, and the names of the signals that it was told of."""

    server: Server
    url: str
    task: asyncio.Task[None]
    signals: list[str]
    application: Application

    async def get(self, path: str = "/", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            return await client.get(f"{self.url}{path}", headers=headers)

    async def send(self, number: int) -> None:
        """Send it to this process, and wait until it was dealt with."""
        caught = signal.getsignal(number)
        assert caught not in {signal.SIG_DFL, signal.default_int_handler}, "it would end the tests"
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        for one in (number, signal.SIGUSR1):
            os.kill(os.getpid(), one)
        async with asyncio.timeout(PATIENCE):
            await heard.wait()
        loop.remove_signal_handler(signal.SIGUSR1)

    async def stopped(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.task


@asynccontextmanager
async def started() -> AsyncIterator[Started]:
    application, signals, ready = Application(), [], asyncio.Event()
    server = Server(
        application, {}, max_connections=10, on_started=ready.set, on_signal=signals.append
    )
    listener = listen("127.0.0.1", 0)
    url = url_of(listener)
    task = asyncio.create_task(server.serve([listener]))
    try:
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
        yield Started(server, url, task, signals, application)
    finally:
        server.should_exit = server.force_exit = True
        await task
        gc.unfreeze()


@pytest.fixture
def ignored() -> Callable[[int], None]:
    """Ignores a signal for the test, as nohup does."""
    before: dict[int, object] = {}

    def ignore(number: int) -> None:
        before[number] = signal.signal(number, signal.SIG_IGN)

    yield ignore
    for number, handler in before.items():
        signal.signal(number, handler)


def test_start_and_stop_are_logged(tally_up) -> None:
    running = tally_up()
    httpx.get(running.url)
    assert running.stop() == 0
    events = [line["event"] for line in logged(running)]
    assert events[0] == "start"
    assert events[-2:] == ["stopping", "stop"]


def test_many_idle_connections_are_in_nobodys_way(server, add) -> None:
    idle = [connect(server) for _ in range(1000)]
    assert add(1).status_code == 201
    for connection in idle:
        connection.close()


def test_all_is_loaded_before_it_starts() -> None:
    application = Application()
    server = Server(
        application, {}, max_connections=1, on_started=lambda: None, on_signal=lambda _: None
    )
    assert server.config.loaded


async def test_who_is_told_that_it_has_started_is_answered() -> None:
    async with started() as running:
        assert (await running.get()).status_code == 200
        assert running.application.lives == ["startup"]
    assert running.application.lives == ["startup"], "what is forced to end is not asked to"


async def test_it_does_not_say_what_it_is_made_of() -> None:
    async with started() as running:
        assert {*(await running.get()).headers} == {"date", "content-length"}


async def test_nobody_is_believed_who_says_for_whom_he_asks() -> None:
    async with started() as running:
        claims = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
        assert (await running.get(**claims)).text == "http 127.0.0.1"


async def test_what_it_started_with_is_looked_through_for_garbage_once() -> None:
    class Thing: ...

    thing = Thing()
    thing.itself = thing
    seen = weakref.ref(thing)
    del thing
    gc.disable()
    try:
        async with started():
            assert seen() is None
            assert gc.get_freeze_count() > 0
    finally:
        gc.enable()


@pytest.mark.parametrize("number", SIGNALS)
async def test_it_stops_in_order_at_a_signal(number: signal.Signals) -> None:
    async with started() as running:
        await running.send(number)
        await running.stopped()
        assert running.signals == [number.name]
        assert running.application.lives == ["startup", "shutdown"]


async def test_nohup_is_obeyed(ignored) -> None:
    ignored(signal.SIGHUP)
    async with started() as running:
        await running.send(signal.SIGHUP)
        assert (await running.get()).status_code == 200
        await running.send(signal.SIGTERM)
        await running.stopped()
        assert running.signals == ["SIGTERM"]


async def test_nohup_says_nothing_of_other_signals(ignored) -> None:
    ignored(signal.SIGTERM)
    async with started() as running:
        await running.send(signal.SIGTERM)
        await running.stopped()


async def test_a_second_interrupt_ends_what_would_not_end() -> None:
    async with started() as running:
        hanging = asyncio.create_task(running.get("/hang"))
        await running.application.hangs.wait()
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
            await running.send(number)
        assert not running.server.force_exit
        await running.send(signal.SIGINT)
        await running.stopped()
        assert running.signals == ["SIGTERM"]
        assert running.application.lives == ["startup"]
        hanging.cancel()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_its_address_is_named_as_a_browser_takes_it(host: str) -> None:
    with listen(host, 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) in {f"http://127.0.0.1:{port}", f"http://[::1]:{port}"}
        assert httpx.URL(url_of(listener)).host == host


def test_of_a_name_s_addresses_the_first_is_taken(monkeypatch) -> None:
    family = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    addresses = [(*family, (f"127.0.0.{last}", 0)) for last in (2, 3, 4)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    with listen("a-name", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.2"


def test_an_address_is_free_as_soon_as_it_was_left() -> None:
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        client = socket.create_connection(address)
        connection, _ = listener.accept()
        connection.close()  # who closes first keeps the address in TIME_WAIT
        client.close()
    with listen(*address) as listener:
        assert listener.getsockname() == address


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, before) - 1, most))
    raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
