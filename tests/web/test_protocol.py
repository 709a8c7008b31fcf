"""Limits on a request's head, and how long a connection stays open."""

import asyncio
import contextlib
import gc
import json
import socket
import struct
import weakref
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request

from tally.web import protocol
from tally.web.exchange import STALL_SECONDS
from tally.web.fast_path import FastRoute
from tally.web.framing import MAX_CHUNKS, MAX_RECEIVED
from tally.web.head import MAX_HEAD, MAX_REQUEST_LINE
from tally.web.lingering_close import Lingering
from tally.web.problem import Problem
from tally.web.protocol import HEAD_SECONDS
from tally.web.request import read_body
from tests.support.http import ENTRIES
from tests.support.postgres import PATIENCE
from tests.support.web_server import (
    KEEP_ALIVE,
    Lines,
    WebServer,
    in_pieces,
    serving,
    with_problems,
)
from tests.support.wire import read_answers

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


def _fast_later(request) -> bool:
    LATER.append(request)
    return True


def _declined(request) -> bool:
    return False


LATER = []
ROUTES = {
    (b"GET", b"/fast"): FastRoute(_fast, None),
    (b"POST", b"/fast"): FastRoute(_fast, None),
    (b"GET", b"/fast-and-large"): FastRoute(_fast_and_large, None),
    (b"GET", b"/fast-later"): FastRoute(_fast_later, None),
    (b"POST", b"/fast-later"): FastRoute(_fast_later, None),
    (b"GET", b"/declined"): FastRoute(_declined, None),
}


def shut_down(web: WebServer) -> None:
    for connection in list(web.state.connections):
        connection.shutdown()


def reset(writer: asyncio.StreamWriter) -> None:
    """Go away without a word that more could be taken."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    LATER.clear()
    async with serving(with_problems(_careful), ROUTES) as server:
        yield server


async def _read_200(reader) -> None:
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readexactly(4)


POST = b"POST /fast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"
FAST = REQUEST % b"fast"
# What is sent, and which way each of its requests is answered.
WAYS = {
    "get": ([FAST], ["fast"]),
    "post": ([POST], ["fast"]),
    "head-in-pieces": ([POST[:20], POST[20:]], ["fast"]),
    "after-another": ([FAST, POST, FAST], ["fast"] * 3),
    "declined": ([REQUEST % b"declined"], ["slow"]),
    "query": ([REQUEST % b"fast?"], ["slow"]),
    "method": ([FAST.replace(b"GET", b"PUT")], ["slow"]),
    "with-the-next": ([FAST + POST + FAST], ["slow", "slow", "fast"]),
    "body-in-pieces": ([POST[:-1], POST[-1:]], ["slow"]),
    "chunks": (
        [POST.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked")[:-4] + b"0\r\n\r\n"],
        ["slow"],
    ),
    "close": ([FAST.replace(b"Host", b"Connection: close\r\nHost")], ["slow"]),
    "1.0": ([FAST.replace(b"1.1", b"1.0")], ["slow"]),
    "expect": ([POST.replace(b"Host", b"Expect: 100-continue\r\nHost")], ["slow"]),
    "header-twice": ([FAST.replace(b"Host", b"X: 1\r\nX: 2\r\nHost")], ["slow"]),
}


@pytest.mark.parametrize(("pieces", "ways"), WAYS.values(), ids=WAYS)
async def test_what_is_plain_and_comes_whole_and_alone_is_answered_fast(web, pieces, ways) -> None:
    answers = read_answers(await web.ask(*pieces))
    assert [answer.body.decode() for answer in answers] == ways


async def test_whoever_reads_none_of_its_answers_is_not_answered_fast(web) -> None:
    client, _ = await _never_read(web, b"large")
    client.sendall(REQUEST % b"fast-later")
    await web.settle()
    assert LATER == []
    client.close()


FAST_ANSWER = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 4\r\n%b\r\nfast"
CLOSES = FAST_ANSWER % b"x: 1\r\nconnection: close\r\n"
STAYS = FAST_ANSWER % b"x: 1\r\n"


@pytest.mark.parametrize(
    ("follows", "ends", "expected"),
    [
        (b"", "half-closed", CLOSES),
        (b"", "stopping", CLOSES),
        (FAST, "half-closed", STAYS + FAST_ANSWER % b""),
        (FAST, "stopping", STAYS + FAST_ANSWER % b"connection: close\r\n"),
        (FAST[:-1], "half-closed", STAYS),
        (FAST[:-1], "stopping", STAYS),
    ],
)
async def test_a_fast_answer_tells_whether_it_is_the_last(web, follows, ends, expected) -> None:
    reader, writer = await web.connect()
    writer.write(REQUEST % b"fast-later")
    await web.settle()
    writer.write(follows)
    await web.settle()
    if ends == "stopping":
        shut_down(web)
    else:
        writer.write_eof()
    await web.settle()
    [request] = LATER
    request.write(200, b"x: 1\r\n", b"fast")
    assert await reader.read() == expected
    writer.close()


async def test_the_handler_is_given_the_request(web) -> None:
    reader, writer = await web.connect()
    writer.write(POST.replace(b"/fast", b"/fast-later"))
    await web.settle()
    [request] = LATER
    headers = {b"host": b"localhost", b"content-length": b"4"}
    assert (request.headers, request.body) == (headers, b"body")
    request.write(200, b"", b"fast")
    await reader.readuntil(b"fast")
    writer.close()


async def test_after_a_fast_answer_another_request_can_follow(web) -> None:
    reader, writer = await web.connect()
    for _ in range(3):
        writer.write(REQUEST % b"fast-later")
        await web.settle()
        LATER.pop().write(200, b"x: 1\r\n", b"fast")
        assert await reader.readexactly(len(STAYS)) == STAYS
    writer.close()


async def test_who_has_gone_gets_no_fast_answer(web) -> None:
    _, writer = await web.connect()
    writer.write(REQUEST % b"fast-later")
    await web.settle()
    [connection] = web.state.connections
    connection._transport.abort()
    LATER[0].write(200, b"", b"fast")
    await web.settle()
    LATER[0].write(200, b"", b"fast")
    await web.settle()
    assert not web.state.connections
    writer.close()


async def test_the_application_is_told_of_the_request() -> None:
    scopes = []

    async def app(scope, receive, send) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(app) as server:
        await server.ask(
            b"PUT /a%20b/%c3%a9?c=%20 HTTP/1.1\r\nHost: x\r\nX-Y:  z\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
        )
        first, second = scopes
        assert first.pop("client")[0] == "127.0.0.1"
        assert first == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "PUT",
            "scheme": "http",
            "root_path": "",
            "path": "/a b/\u00e9",
            "raw_path": b"/a%20b/%c3%a9",
            "query_string": b"c=%20",
            "headers": [(b"host", b"x"), (b"x-y", b"z")],
            "server": server.address,
        }
        assert (second["http_version"], second["query_string"]) == ("1.0", b"")


async def test_beyond_its_bound_a_connection_is_refused() -> None:
    async with serving(with_problems(_careful), ROUTES, max_connections=1) as server:
        reader, writer = await server.connect()
        [refused] = read_answers(await server.ask(half_close=False))
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["connection"] == "close"
        writer.write(FAST)
        await reader.readuntil(b"fast")
        writer.close()
        await server.settle()
        assert [it.status for it in read_answers(await server.ask(FAST))] == [200]


TWO = (REQUEST % b"careful") + POST


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (TWO, [200, 200]),
        (b"\r\n" + TWO, [200, 200]),
        (b"\r\n" + FAST + b"\r\n" + FAST, [200, 200]),
        (b"\r\n\r\n", [400]),
        (b"\r\n\r\n" + FAST, [400]),
        (b"\n", [400]),
        (FAST + b"\r\n\r\n" + FAST, [200, 400]),
        (b"GET / HTTP/1.1\nHost", [400]),
        (b"GET / HTTP/1.1\r\nHost: x\n", [400]),
        (b"x" * (MAX_REQUEST_LINE + 1), [414]),
        (b"x" * MAX_REQUEST_LINE, []),
        (FAST[:-2] + b"x" * (MAX_HEAD + 1 - len(FAST) + 2), [431]),
        (FAST[:-2] + b"x" * (MAX_HEAD - len(FAST) + 2), []),
        (FAST + FAST[:-1], [200]),
    ],
    ids=lambda it: str(it)[:40],
)
@pytest.mark.parametrize("size", [1, 7, 10**6])
async def test_a_head_is_taken_or_refused_as_soon_as_that_can_be_told(
    web, data, statuses, size
) -> None:
    if len(data) > 1000 and size < 1000:
        size *= 1000
    answers = read_answers(
        await web.ask(*in_pieces(data, size), half_close=not statuses or 200 in statuses)
    )
    assert [answer.status for answer in answers] == statuses


async def test_an_empty_line_in_pieces_hides_no_line_feed(web) -> None:
    [answer] = read_answers(await web.ask(b"\r", b"\n\n", half_close=False))
    assert answer.status == 400


@pytest.fixture
def long(monkeypatch) -> float:
    """So many seconds take what takes a few, so that a busy machine does not matter."""
    for name in ("BODY_SECONDS", "HEAD_SECONDS", "MAX_SECONDS"):
        monkeypatch.setattr(protocol, name, 1000.0)
    monkeypatch.setattr(protocol, "MAX_SECONDS_WHEN_STOPPING", 500.0)
    return 1000.0


async def test_a_head_that_came_in_time_may_be_the_first_of_many(long, web, clock) -> None:
    reader, writer = await web.connect()
    for _ in range(2):
        for piece in in_pieces(FAST, 10):
            writer.write(piece)
            await clock.advance(long / 10)
        await reader.readuntil(b"fast")
    await clock.advance(long)
    writer.write(FAST)
    await reader.readuntil(b"fast")
    writer.close()


UNREAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"


@pytest.mark.parametrize("comes", [True, False])
async def test_the_rest_of_a_body_that_nobody_read_may_still_come(long, web, clock, comes) -> None:
    reader, writer = await web.connect()
    writer.write(UNREAD)
    await _read_200(reader)
    await clock.advance(0.9 * long)
    assert len(web.state.connections) == 1
    if comes:
        writer.write(b" more" + FAST)
        await reader.readuntil(b"fast")
        await clock.advance(0.2 * long)
        writer.write(FAST)
        await reader.readuntil(b"fast")
    else:
        await clock.advance(0.2 * long)
        assert not web.state.connections
    writer.close()


@pytest.mark.parametrize("path", [b"/read", b"/unread"])
async def test_a_body_is_read_whose_head_came_while_another_was_answered(path) -> None:
    """Reading pauses then: whoever asks for the body, or nobody, has it go on."""
    goes_on = asyncio.Event()

    async def app(scope, receive, send) -> None:
        if scope["path"] == "/slow":
            await receive()
            await goes_on.wait()
        elif scope["path"] == "/read":
            while (await receive())["more_body"]:
                pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async with serving(app) as server:
        reader, writer = await server.connect()
        writer.write(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1")
        await server.settle()
        writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n" % path)
        await server.settle()
        goes_on.set()
        await server.settle()
        writer.write(b"bodyGET /last HTTP/1.1\r\nHost: a\r\n\r\n")
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            received = await reader.read()
        writer.close()
    assert [it for it in (b"/slow", path, b"/last") if it in received] == [b"/slow", path, b"/last"]


async def test_a_rest_that_can_t_be_read_ends_the_connection(long, web) -> None:
    reader, writer = await web.connect()
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head + b"4\r\nhalf\r\n")
    await _read_200(reader)
    writer.write(b"nonsense\r\n" + FAST)
    assert await reader.read() == b""
    writer.close()


async def test_a_service_that_stops_closes_what_is_idle_at_once(web) -> None:
    reader, writer = await web.connect()
    writer.write(FAST)
    await reader.readuntil(b"fast")
    shut_down(web)
    assert await reader.read() == b""
    assert not web.state.connections
    writer.close()


@pytest.mark.parametrize("ends", ["half-closed", "stopping"])
async def test_what_is_under_way_is_answered_before_the_end(web, clock, ends) -> None:
    reader, writer = await web.connect()
    writer.write(REQUEST % b"slow")
    await web.settle()
    assert len(web.state.tasks) == 1, "uvicorn waits for them"
    if ends == "stopping":
        shut_down(web)
    else:
        writer.write_eof()
    await clock.advance(3 * KEEP_ALIVE)
    received = await reader.read()
    assert (b"connection: close\r\n" in received) == (ends == "stopping")
    assert received.endswith(b"slow")
    await web.settle()
    assert not web.state.connections
    assert not web.state.tasks
    writer.close()


async def test_a_service_that_stops_reads_on_for_a_short_time(long, web, clock) -> None:
    reader, writer = await web.connect()
    writer.write(UNREAD)
    await _read_200(reader)
    shut_down(web)
    [connection] = web.state.connections
    assert isinstance(connection, Lingering)
    assert await reader.read() == b""
    await clock.advance(0.4 * long)
    assert web.state.connections
    await clock.advance(0.2 * long)
    assert not web.state.connections
    writer.close()


@pytest.mark.parametrize(
    ("sent", "lingers"),
    [
        (REQUEST % b"careful", False),
        (REQUEST % b"careful" + FAST, True),
        (UNREAD, True),
        (UNREAD + b" more", False),
        (UNREAD + b" more" + FAST, True),
    ],
)
async def test_who_still_sends_is_read_on_after_the_last_answer(
    long, web, clock, sent, lingers
) -> None:
    reader, writer = await web.connect()
    writer.write(sent.replace(b"Host", b"Connection: close\r\nHost", 1))
    await _read_200(reader)
    await web.settle()
    assert [type(it) for it in web.state.connections] == [Lingering] * lingers
    await clock.advance(0.9 * long)
    assert len(web.state.connections) == lingers
    await clock.advance(0.2 * long)
    assert not web.state.connections
    writer.close()


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        (b"Content-Length: 9\r\n\r\nhalf", (400, "incomplete-body")),
        (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", (400, "invalid-http")),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\nxnonsense\r\n", (400, "invalid-http")),
        (b"Content-Length: %d\r\n\r\n" % 2**40, (413, "body-too-large")),
    ],
)
async def test_a_body_that_can_t_be_read_is_refused_for_its_reason(web, sent, refusal) -> None:
    [answer] = read_answers(await web.ask(b"POST /body HTTP/1.1\r\nHost: localhost\r\n" + sent))
    assert (answer.status, answer.json["rule"]) == refusal
    assert answer.headers["connection"] == "close"


async def test_of_a_body_that_nobody_takes_little_is_kept() -> None:
    taken = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await taken.wait()
        body = 0
        while body < 2**20:
            body += len((await receive())["body"])
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    head = POST.replace(b"4", b"%d" % 2**20)[:-4]
    async with serving(app) as server:
        reader, writer = await server.connect()
        for _ in range(2):
            taken.clear()
            writer.write(head + b" " * 64 * 1024)
            await server.settle()
            [connection] = server.state.connections
            assert connection._transport.is_reading()
            writer.write(b" ")
            await server.settle()
            assert not connection._transport.is_reading()
            taken.set()
            writer.write(b" " * (2**20 - 64 * 1024 - 1))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
            assert connection._transport.is_reading()
        writer.close()


async def test_an_answer_is_written_as_it_is_taken() -> None:
    async def app(scope, receive, send) -> None:
        length = (b"content-length", b"%d" % len(LARGE))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        for piece in in_pieces(LARGE, 2**21):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async with serving(app) as server:
        received = await server.ask(FAST)
        assert received.partition(b"\r\n\r\n")[2] == LARGE


@pytest.mark.parametrize("leaves", ["stalls", "resets"])
async def test_who_takes_no_more_of_an_answer_ends_it_and_a_stall_is_logged(clock, leaves) -> None:
    ended = asyncio.Event()

    async def app(scope, receive, send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": LARGE, "more_body": True})
        finally:
            ended.set()

    log = Lines()
    async with serving(with_problems(app, log)) as server:
        reader, writer = await server.connect()
        writer.write(FAST)
        await reader.read(100)
        if leaves == "resets":
            reset(writer)
        else:
            await clock.advance(1.1 * STALL_SECONDS)
        await asyncio.wait_for(ended.wait(), PATIENCE)
        await server.settle()
        writer.close()
    reasons = [line["reason"] for line in log.lines if line["event"] == "answer cut short"]
    assert reasons == ["the client takes the answer too slowly"] * (leaves == "stalls")


@pytest.mark.parametrize(
    "sent",
    [b"", FAST[:-1], FAST, UNREAD, REQUEST % b"large", REQUEST % b"slow"],
    ids=["nothing", "part", "fast", "unread", "large", "slow"],
)
async def test_of_a_connection_that_is_gone_nothing_stays(web, sent) -> None:
    _, writer = await web.connect()
    writer.write(sent)
    await web.settle()
    [connection] = web.state.connections
    gone = weakref.ref(connection)
    del connection
    reset(writer)
    await web.settle()
    assert all(task.cancel() for task in web.state.tasks)
    await web.settle()
    assert not web.state.connections
    gc.collect()
    assert gone() is None
    writer.close()


@pytest.mark.parametrize(
    "paths", [[], [b"fast"], [b"careful"], [b"fast", b"careful"], [b"careful", b"fast"]], ids=str
)
async def test_an_idle_connection_is_closed_however_its_last_request_was_answered(
    web, clock, paths
) -> None:
    reader, writer = await web.connect()
    for path in paths:
        writer.write(REQUEST % path)
        await _read_200(reader)
    await clock.advance(0.9 * KEEP_ALIVE)
    assert len(web.state.connections) == 1
    await clock.advance(0.2 * KEEP_ALIVE)
    assert await reader.read() == b""
    writer.close()


async def test_a_connection_that_is_used_stays_open(web, clock) -> None:
    reader, writer = await web.connect()
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
    for _ in range(3):
        await clock.advance(0.6 * KEEP_ALIVE)
    assert await reader.read() == b""
    writer.close()


async def test_an_idle_connection_stays_open_to_its_last_moment(web, clock) -> None:
    reader, writer = await web.connect()
    await clock.advance(0.5)
    writer.write(REQUEST % b"fast")
    await _read_200(reader)
    await clock.advance(KEEP_ALIVE - 0.25)
    assert len(web.state.connections) == 1
    await clock.advance(0.5)
    assert not web.state.connections
    assert await reader.read() == b""
    writer.close()


async def test_a_client_that_stops_sending_ends_its_connection(web) -> None:
    reader, writer = await web.connect()
    unfinished = REQUEST.replace(b"Host", b"Connection: close\r\nContent-Length: 9\r\nHost")
    writer.write(unfinished % b"careful")
    # All that there is to read, while the server still waits for the body.
    assert (await reader.read()).endswith(b"slow")
    writer.write(b"half")
    await asyncio.sleep(0.1)
    assert len(web.state.connections) == 1
    writer.close()
    async with asyncio.timeout(60):
        while web.state.connections:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)


async def test_a_stream_ends_whose_client_sends_a_body_without_end(web) -> None:
    reader, writer = await web.connect()
    endless = b"Content-Length: %d\r\nHost" % 2**40
    writer.write(REQUEST.replace(b"Host", endless) % b"stream" + b" " * 2 * MAX_RECEIVED)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()


def problems() -> set[int]:
    return {id(it) for it in gc.get_objects() if isinstance(it, Problem)}


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
async def test_what_was_refused_is_freed_without_a_search_for_garbage(web, sent) -> None:
    reader, writer = await web.connect()
    gc.collect()
    gc.disable()
    before = problems()
    try:
        writer.write(b"POST /body HTTP/1.1\r\nHost: localhost\r\n" + sent)
        writer.write_eof()
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        await asyncio.sleep(0.1)
        assert problems() - before == set()
    finally:
        gc.enable()
    writer.close()


async def test_a_slow_head_is_cut_off(web, clock) -> None:
    reader, writer = await web.connect()
    for piece in (FAST[:-1], FAST[-1:]):
        writer.write(piece)
        await web.settle()
    await reader.readuntil(b"fast")
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")
    await clock.advance(HEAD_SECONDS - 1)
    writer.write(b"More: and more")
    await clock.advance(2)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert json.loads(body)["rule"] == "head-timeout"
    writer.close()


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
async def test_a_head_that_breaks_a_limit_is_refused(web, request_bytes, expected) -> None:
    reader, writer = await web.connect()
    writer.write(request_bytes)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    assert (problem["status"], problem["rule"]) == expected
    writer.close()


async def _never_read(web: WebServer, path: bytes, headers: bytes = b""):
    """A client that asks and takes nothing of the answer; the server's connection to it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(web.address)
    client.setblocking(False)
    client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n") % path)
    async with asyncio.timeout(60):
        while not untaken(web):  # noqa: ASYNC110 - a transport has no event
            await asyncio.sleep(0.01)
    [connection] = web.state.connections
    return client, connection


def untaken(web: WebServer) -> int:
    """How many bytes of answers clients have not taken yet."""
    return sum(it._transport.get_write_buffer_size() for it in web.state.connections)


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
async def test_a_client_that_takes_nothing_of_a_whole_answer_is_cut_off(
    web, clock, path, how
) -> None:
    headers = b"Connection: close\r\n" if how == "closed" else b""
    client, _ = await _never_read(web, path, headers)
    if how == "half-closed":
        client.shutdown(socket.SHUT_WR)
    await clock.advance(0.9 * STALL_SECONDS)
    assert len(web.state.connections) == 1
    await clock.advance(0.2 * STALL_SECONDS)
    assert not web.state.connections
    client.close()


@pytest.mark.parametrize("how", ["kept", "closed", "half-closed"])
async def test_a_client_that_leaves_little_of_its_answer_is_cut_off_too(web, clock, how) -> None:
    headers = b"Connection: close\r\n" if how == "closed" else b""
    client, connection = await _never_read(web, b"large", headers)
    # As if what is left were too little for the transport to pause for.
    connection._transport.set_write_buffer_limits(high=2 * len(LARGE))
    connection.resume_writing()
    if how == "kept":  # until it is idle for too long
        await clock.advance(1.1 * KEEP_ALIVE)
    elif how == "half-closed":
        client.shutdown(socket.SHUT_WR)
        await web.settle()
    await clock.advance(0.9 * STALL_SECONDS)
    assert len(web.state.connections) == 1
    await clock.advance(0.2 * STALL_SECONDS)
    assert not web.state.connections
    client.close()


async def test_a_client_that_asks_on_and_reads_nothing_is_answered_no_more(web, clock) -> None:
    client, connection = await _never_read(web, b"fast-and-large")
    waiting = connection._transport.get_write_buffer_size()
    for _ in range(10):
        client.sendall(REQUEST % b"fast-and-large")
        await asyncio.sleep(0.02)  # each comes alone, as the fast path takes it
    assert 0 < connection._transport.get_write_buffer_size() <= waiting
    await clock.advance(1.1 * STALL_SECONDS)
    assert not web.state.connections
    client.close()


def test_no_banner_says_what_serves(client) -> None:
    for path in ("/", ENTRIES, "/nowhere"):
        assert "server" not in client.get(path).headers
