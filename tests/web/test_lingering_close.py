"""Lingering close: a client that sends all before it reads gets its answer, within limits."""

import asyncio
import contextlib
import gc
import signal
import socket
import threading
import time
import weakref
from collections.abc import AsyncIterator

import pytest

from tally.web import server
from tally.web.lingering_close import (
    MAX_BYTES,
    MAX_SECONDS,
    MAX_SECONDS_WHEN_STOPPING,
    Lingering,
)
from tally.web.request import MAX_BODY
from tests.support.http import connect
from tests.support.wire import read_answer

HEAD = (
    b"POST /adder_service/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


def status_and_rule(connection: socket.socket) -> tuple[int, str | None]:
    """Read a whole answer; a reset raises."""
    answer = read_answer(connection)
    assert answer.json["status"] == answer.status
    return answer.status, answer.json.get("rule")


MEGABYTES = b" " * 8 * 1024 * 1024
WITH_LENGTH = b"Content-Length: %d\r\n\r\n" % len(MEGABYTES) + MEGABYTES
IN_CHUNKS = (
    b"Transfer-Encoding: chunked\r\n\r\n"
    + (b"10000\r\n" + b" " * 65536 + b"\r\n") * (len(MEGABYTES) // 65536)
    + b"0\r\n\r\n"
)
CLOSE = b"Connection: close\r\n"
# Each is answered before all of it has come.
TOO_MUCH = {
    "length": (HEAD + WITH_LENGTH, (413, "body-too-large")),
    "chunks": (HEAD + IN_CHUNKS, (413, "body-too-large")),
    "type": (HEAD.replace(b"json", b"xml") + CLOSE + WITH_LENGTH, (415, "content-type")),
    "type-kept": (HEAD.replace(b"json", b"xml") + WITH_LENGTH, (415, "content-type")),
    "origin": (HEAD + b"Origin: http://y\r\n" + CLOSE + IN_CHUNKS, (403, "cross-site")),
    "path": (HEAD.replace(b"entries", b"nowhere") + CLOSE + WITH_LENGTH, (404, None)),
    "path-kept": (HEAD.replace(b"entries", b"nowhere") + IN_CHUNKS, (404, None)),
    "method": (HEAD.replace(b"POST", b"PUT") + CLOSE + WITH_LENGTH, (405, None)),
    "http-1.0": (HEAD.replace(b"P/1.1", b"P/1.0") + WITH_LENGTH, (413, "body-too-large")),
    "url": (HEAD.replace(b"entries", b"x" * 9000) + WITH_LENGTH, (414, "url-too-long")),
    "head": (HEAD + b"X-Many: 1\r\n" * 101 + WITH_LENGTH, (431, "headers-too-large")),
    "nonsense": (b"NONSENSE\r\n\r\n" + MEGABYTES, (400, "invalid-http")),
}


@pytest.mark.parametrize(("request_bytes", "expected"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_who_sends_all_before_reading_gets_the_answer(server, request_bytes, expected) -> None:
    for _ in range(50):
        with connect(server) as connection:
            connection.sendall(request_bytes)
            assert status_and_rule(connection) == expected


ENDLESS = HEAD + b"Content-Length: %d\r\n\r\n" % 2**40


def send_until_cut_off(connection: socket.socket, part: bytes, pause: float) -> int:
    """Send for ever; give how many bytes could be sent."""
    sent = 0
    try:
        while True:
            connection.sendall(part)
            sent += len(part)
            time.sleep(pause)
    except (ConnectionResetError, BrokenPipeError):
        return sent


@pytest.mark.parametrize("head", [ENDLESS, ENDLESS.replace(b"entries", b"nowhere")])
def test_a_client_that_never_stops_is_cut_off(server, head) -> None:
    with connect(server) as connection:
        connection.sendall(head)
        read_answer(connection)
        sent = send_until_cut_off(connection, b" " * 65536, 0)
        # What is above is in the kernel's buffers.
        assert MAX_BYTES <= sent <= 2 * MAX_BYTES


def test_a_service_that_stops_still_has_its_answers_read(tally_up) -> None:
    running = tally_up()
    with connect(running) as endless, connect(running) as late:
        endless.sendall(ENDLESS)
        read_answer(endless)
        sender = threading.Thread(target=send_until_cut_off, args=(endless, b" ", 0.05))
        sender.start()
        framing, end, chunks = IN_CHUNKS.partition(b"\r\n\r\n")
        late.sendall(HEAD + b"Expect: 100-continue\r\n" + framing + end)
        assert late.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        late.sendall(chunks[: 2 * MAX_BODY])  # more than it may have, and soon sent
        time.sleep(0.2)
        assert status_and_rule(late) == (413, "body-too-large")
        assert running.stop() == 0
        sender.join()


MORE = b"more"


async def settle() -> None:
    """Let what was sent arrive."""
    for _ in range(50):
        await asyncio.sleep(0.001)


@pytest.fixture
async def lingering() -> AsyncIterator[tuple[Lingering, set[object], asyncio.StreamWriter]]:
    """A connection that lingers because its client goes on; it is in the set until it ends."""
    loop = asyncio.get_running_loop()
    made, connections = loop.create_future(), set()

    class Answered(asyncio.Protocol):
        def connection_made(self, transport) -> None:
            made.set_result(Lingering(transport, connections, MAX_SECONDS))

    server = await loop.create_server(Answered, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(MORE)
    yield await made, connections, writer
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()
    server.close()


async def test_a_client_that_never_stops_is_cut_off_in_time_too(lingering, clock) -> None:
    _, connections, _ = lingering
    await clock.advance(0.9 * MAX_SECONDS)
    assert len(connections) == 1
    await clock.advance(0.2 * MAX_SECONDS)
    assert connections == set()


async def test_a_client_that_sends_too_much_is_cut_off(lingering) -> None:
    _, connections, writer = lingering
    for size, lingers in ((MAX_BYTES - len(MORE), True), (1, False)):
        writer.write(b" " * size)
        with contextlib.suppress(ConnectionResetError):
            await writer.drain()
        await settle()
        assert bool(connections) == lingers


@pytest.mark.parametrize("stops", [True, False])
async def test_of_a_connection_that_has_ended_nothing_stays(lingering, stops) -> None:
    connection, connections, writer = lingering
    transport = weakref.ref(connection._transport)
    if stops:
        connection.shutdown()
    writer.close()
    await settle()
    assert not connections
    del connection._transport
    gc.collect()
    assert transport() is None


def test_a_service_that_stops_is_gone_within_ten_seconds() -> None:
    assert server._GRACE_SECONDS + MAX_SECONDS_WHEN_STOPPING < 10


async def test_a_service_that_stops_lingers_for_a_shorter_time(lingering, clock) -> None:
    connection, connections, _ = lingering
    connection.shutdown()
    await clock.advance(0.5 * MAX_SECONDS_WHEN_STOPPING)
    assert len(connections) == 1
    await clock.advance(0.5 * MAX_SECONDS_WHEN_STOPPING)
    assert connections == set()
    assert MAX_SECONDS_WHEN_STOPPING < MAX_SECONDS
