"""Limits on a request's head, and how long a connection stays open."""

import asyncio
import contextlib
import gc
import json
import socket

import pytest
import uvicorn
from starlette.requests import Request
from uvicorn.server import ServerState

from tally.web.exchange import STALL_SECONDS
from tally.web.fast_path import FastRoute
from tally.web.framing import MAX_CHUNKS, MAX_RECEIVED
from tally.web.hosts import Hosts
from tally.web.log import Log
from tally.web.middleware import Middleware
from tally.web.problem import Problem
from tally.web.protocol import HEAD_SECONDS, HTTPProtocol
from tally.web.request import read_body
from tests.support.http import ENTRIES

KEEP_ALIVE = 1000
REQUEST = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n"


# More than the kernel keeps for a connection.
LARGE = b"x" * 16 * 2**20


async def _careful(scope, receive, send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * KEEP_ALIVE)
    if scope["path"] == "/stream":
        await asyncio.sleep(0.1)  # more of a body comes than is kept
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if scope["path"] == "/body":
        await read_body(Request(scope, receive))
        raise Problem(400, "the body is not what it should be")
    body = LARGE if scope["path"] == "/large" else b"slow"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _fast(request) -> bool:
    request.write(200, b"", b"fast")
    return True


def _fast_and_large(request) -> bool:
    request.write(200, b"", LARGE)
    return True


async def _connect():
    loop = asyncio.get_running_loop()
    app = Middleware(
        _careful,
        Log(),
        problem_of=lambda error: None,
        error_page=lambda problem, path, request_id: b"",
        service_of=lambda path: "display",
        hosts=Hosts(),
    )
    config = uvicorn.Config(app, lifespan="off", timeout_keep_alive=KEEP_ALIVE)
    config.load()
    state = ServerState()

    def protocol() -> HTTPProtocol:
        return HTTPProtocol(
            config,
            state,
            {},
            fast_routes={
                (b"GET", b"/fast"): FastRoute(_fast, None),
                (b"GET", b"/fast-and-large"): FastRoute(_fast_and_large, None),
            },
            max_connections=100,
        )

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    return server, reader, writer, state


async def _read_200(reader) -> None:
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readexactly(4)


@pytest.mark.parametrize(
    "paths", [[], [b"fast"], [b"careful"], [b"fast", b"careful"], [b"careful", b"fast"]], ids=str
)
async def test_an_idle_connection_is_closed_however_its_last_request_was_answered(
    clock, paths
) -> None:
    server, reader, writer, state = await _connect()
    for path in paths:
        writer.write(REQUEST % path)
        await _read_200(reader)
    await clock.advance(0.9 * KEEP_ALIVE)
    assert len(state.connections) == 1
    await clock.advance(0.2 * KEEP_ALIVE)
    assert await reader.read() == b""
    writer.close()
    server.close()


async def test_a_connection_that_is_used_stays_open(clock) -> None:
    server, reader, writer, _ = await _connect()
    for _ in range(8):
        await clock.advance(KEEP_ALIVE / 2)
        writer.write(REQUEST % b"fast")
        await reader.readuntil(b"fast")
    writer.write(REQUEST % b"slow")
    for _ in range(4):
        await clock.advance(KEEP_ALIVE / 2)
    await reader.readuntil(b"slow")
    await clock.advance(KEEP_ALIVE / 2)
    writer.write(REQUEST % b"fast")
    await reader.readuntil(b"fast")
    writer.close()
    server.close()


async def test_a_client_that_stops_sending_ends_its_connection() -> None:
    server, reader, writer, state = await _connect()
    unfinished = REQUEST.replace(b"Host", b"Connection: close\r\nContent-Length: 9\r\nHost")
    writer.write(unfinished % b"careful")
    # All that there is to read, while the server still waits for the body.
    assert (await reader.read()).endswith(b"slow")
    writer.write(b"half")
    await asyncio.sleep(0.1)
    assert len(state.connections) == 1
    writer.close()
    async with asyncio.timeout(60):
        while state.connections:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
    server.close()


async def test_a_stream_ends_whose_client_sends_a_body_without_end() -> None:
    server, reader, writer, _ = await _connect()
    endless = b"Content-Length: %d\r\nHost" % 2**40
    writer.write(REQUEST.replace(b"Host", endless) % b"stream" + b" " * 2 * MAX_RECEIVED)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()
    server.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"No field\r\n\r\n",
        b"Content-Length: 3\r\n\r\nall",
        b"Content-Length: 9\r\n\r\nhalf",
        b"Content-Length: %d\r\n\r\n" % 2**40,
        b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\nnonsense\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 2 * MAX_CHUNKS,
    ],
    ids=["head", "wrong", "half", "length", "nonsense", "chunks"],
)
async def test_what_was_refused_is_freed_without_a_search_for_garbage(sent) -> None:
    server, reader, writer, _ = await _connect()
    gc.collect()
    gc.disable()
    try:
        writer.write(b"POST /body HTTP/1.1\r\nHost: localhost\r\n" + sent)
        writer.write_eof()
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        await asyncio.sleep(0.1)
        assert [it for it in gc.get_objects() if isinstance(it, Problem)] == []
    finally:
        gc.enable()
    writer.close()
    server.close()


async def test_a_slow_head_is_cut_off(clock) -> None:
    server, reader, writer, _ = await _connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")
    await clock.advance(HEAD_SECONDS - 1)
    writer.write(b"More: and more")
    await clock.advance(2)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert json.loads(body)["rule"] == "head-timeout"
    writer.close()
    server.close()


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (414, "url-too-long")),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"y" * 33_000 + b"\r\n\r\n",
            (431, "headers-too-large"),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: 1\r\n" * 101 + b"\r\n",
            (431, "headers-too-large"),
        ),
        (b"NONSENSE\r\n\r\n", (400, "invalid-http")),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", (400, "invalid-http")),
    ],
    ids=["url", "header", "headers", "nonsense", "length"],
)
async def test_a_head_that_breaks_a_limit_is_refused(request_bytes, expected) -> None:
    server, reader, writer, _ = await _connect()
    writer.write(request_bytes)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    assert (problem["status"], problem["rule"]) == expected
    writer.close()
    server.close()


async def _never_read(path: bytes, headers: bytes = b""):
    """A client that asks and takes nothing of the answer; the server's connection to it."""
    server, _, unused, state = await _connect()
    unused.close()
    while state.connections:  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(server.sockets[0].getsockname())
    client.setblocking(False)
    client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n") % path)
    async with asyncio.timeout(60):
        while not state.total_requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    [connection] = state.connections
    return server, client, state, connection


@pytest.mark.parametrize(
    ("path", "how"),
    [
        (b"large", "kept"),
        (b"large", "closed"),
        (b"large", "half-closed"),
        (b"fast-and-large", "kept"),
        (b"fast-and-large", "half-closed"),
    ],
)
async def test_a_client_that_takes_nothing_of_a_whole_answer_is_cut_off(clock, path, how) -> None:
    headers = b"Connection: close\r\n" if how == "closed" else b""
    server, client, state, _ = await _never_read(path, headers)
    if how == "half-closed":
        client.shutdown(socket.SHUT_WR)
    await clock.advance(0.9 * STALL_SECONDS)
    assert len(state.connections) == 1
    await clock.advance(0.2 * STALL_SECONDS)
    assert not state.connections
    client.close()
    server.close()


async def test_a_client_that_leaves_little_of_its_answer_is_cut_off_once_idle(clock) -> None:
    server, client, state, connection = await _never_read(b"large")
    # As if what is left were too little for the transport to pause for.
    connection._transport.set_write_buffer_limits(high=2 * len(LARGE))
    connection.resume_writing()
    await clock.advance(1.1 * KEEP_ALIVE)
    assert len(state.connections) == 1
    await clock.advance(1.1 * STALL_SECONDS)
    assert not state.connections
    client.close()
    server.close()


async def test_a_client_that_asks_on_and_reads_nothing_is_answered_no_more(clock) -> None:
    server, client, state, connection = await _never_read(b"fast-and-large")
    waiting = connection._transport.get_write_buffer_size()
    for _ in range(10):
        client.sendall(REQUEST % b"fast-and-large")
        await asyncio.sleep(0.02)  # each comes alone, as the fast path takes it
    assert 0 < connection._transport.get_write_buffer_size() <= waiting
    await clock.advance(1.1 * STALL_SECONDS)
    assert not state.connections
    client.close()
    server.close()


def test_no_banner_says_what_serves(client) -> None:
    for path in ("/", ENTRIES, "/nowhere"):
        assert "server" not in client.get(path).headers
