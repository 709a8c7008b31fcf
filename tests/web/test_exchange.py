"""A request and its answer: order, half-closed connections, clients that do not read."""

import asyncio
import contextlib
import gc
import select
import socket
import struct
from pathlib import Path

import httpx
import pytest

from tally.web.exchange import Disconnected
from tally.web.request import MAX_BODY, MAX_HELD
from tests.support.http import ENTRIES, connect
from tests.support.web_server import serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n"
EXPECT = b"Content-Length: 4\r\nExpect: 100-continue\r\n"
OK = b"HTTP/1.1 200 OK\r\ndate: today\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
NEXT_ANSWER = b"HTTP/1.1 204 No Content\r\ndate: today\r\n\r\n"
LENGTH = (b"content-length", b"2")
HI = OK + b"content-length: 2\r\n\r\nhi"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


def answer(*bodies: bytes, status: int = 200, headers=()):
    """The messages of an application that answers so."""
    return [
        {"type": "http.response.start", "status": status, "headers": list(headers)},
        *({"type": "http.response.body", "body": it, "more_body": True} for it in bodies[:-1]),
        {"type": "http.response.body", "body": bodies[-1]},
    ]


# What the application says to a request, the bytes of its answer, and whether the next request on
# the connection gets its own.
ANSWERS = {
    "length": (GET, answer(b"hi", headers=[LENGTH]), OK + b"content-length: 2\r\n\r\nhi", True),
    "chunks": (
        GET,
        answer(b"a", b"", b"b" * 10, b""),
        OK + CHUNKED + b"1\r\na\r\na\r\n" + b"b" * 10 + b"\r\n0\r\n\r\n",
        True,
    ),
    "head-only": (
        GET,
        answer(b"", headers=[(b"x", b"1")]),
        OK + b"x: 1\r\n" + CHUNKED + b"0\r\n\r\n",
        True,
    ),
    "HEAD": (GET.replace(b"GET", b"HEAD"), answer(b"hi"), OK + b"\r\n", True),
    "HEAD-length": (
        GET.replace(b"GET", b"HEAD"),
        answer(b"hi", headers=[LENGTH]),
        OK + b"content-length: 2\r\n\r\n",
        True,
    ),
    "204": (GET, answer(b"", status=204), NEXT_ANSWER, True),
    "304": (
        GET,
        answer(b"", status=304),
        NEXT_ANSWER.replace(b"204 No Content", b"304 Not Modified"),
        True,
    ),
    "asks-to-close": (
        GET + CLOSE,
        answer(b"hi", headers=[LENGTH]),
        OK + b"content-length: 2\r\nconnection: close\r\n\r\nhi",
        False,
    ),
    "closes": (
        GET,
        answer(b"hi", headers=[(b"connection", b"Close"), LENGTH]),
        OK + b"content-length: 2\r\nconnection: close\r\n\r\nhi",
        False,
    ),
    "closes-not": (
        GET,
        answer(b"hi", headers=[(b"connection", b"keep-alive"), LENGTH]),
        OK + b"content-length: 2\r\n\r\nhi",
        True,
    ),
    "1.0": (
        b"GET / HTTP/1.0\r\n",
        answer(b"a", b"b"),
        OK + b"connection: close\r\n\r\nab",
        False,
    ),
    "1.0-length": (
        b"GET / HTTP/1.0\r\n",
        answer(b"hi", headers=[LENGTH]),
        OK + b"content-length: 2\r\nconnection: close\r\n\r\nhi",
        False,
    ),
}


def answering(messages):
    async def app(scope, receive, send) -> None:
        for message in answer(b"", status=204) if scope["path"] == "/next" else messages:
            await send(dict(message))

    return app


@pytest.mark.parametrize(
    ("request_bytes", "messages", "expected", "goes_on"), ANSWERS.values(), ids=ANSWERS
)
async def test_an_answer_is_written_so(request_bytes, messages, expected, goes_on) -> None:
    async with serving(answering(messages)) as server:
        received = await server.ask(request_bytes + b"\r\n" + NEXT)
        assert received == expected + (NEXT_ANSWER if goes_on else b"")


async def test_who_was_not_told_to_go_on_asks_again_on_another_connection() -> None:
    """RFC 9110, 10.1.1: what follows may be the body, or the next request."""
    async with serving(answering(answer(b"hi", headers=[LENGTH]))) as server:
        received = await server.ask(POST + EXPECT + b"\r\n", NEXT)
        assert received == OK + b"content-length: 2\r\nconnection: close\r\n\r\nhi"
        received = await server.ask(POST + EXPECT + b"\r\nbody" + NEXT)
        assert received == HI + NEXT_ANSWER


@pytest.mark.parametrize("value", [b"a\nb", b"a\rb", b"\r\nX: 1"])
async def test_a_header_with_a_line_end_is_never_written(value) -> None:
    errors = []

    async def app(scope, receive, send) -> None:
        try:
            await answering(answer(b"hi", headers=[(b"x", value)]))(scope, receive, send)
        except ValueError as error:
            errors.append(error)

    async with serving(app) as server:
        assert await server.ask(GET + b"\r\n") == b""
    assert len(errors) == 1


@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_an_answer_that_breaks_off_does_not_look_complete(sent) -> None:
    whole = answer(b"hello", b"")

    async def app(scope, receive, send) -> None:
        for message in whole[:sent]:
            await send(dict(message))

    async with serving(app) as server:
        received = await server.ask(GET + b"\r\n" + NEXT)
        assert received == (b"", b"", OK + CHUNKED + b"5\r\nhello\r\n")[sent]
        assert not server.state.connections


def listing(received):
    """An application that notes what it receives, and answers."""

    async def app(scope, receive, send) -> None:
        while True:
            message = await receive()
            received.append((message["type"], message.get("body"), message.get("more_body")))
            if not message.get("more_body"):
                break
        for message in answer(b"hi", headers=[LENGTH]):
            await send(message)

    return app


@pytest.mark.parametrize(
    ("pieces", "parts", "expected"),
    [
        ([GET + b"\r\n"], [b""], HI),
        ([POST + b"Content-Length: 4\r\n\r\nbody"], [b"body"], HI),
        ([POST + b"Content-Length: 4\r\n\r\n", b"bo", b"dy"], [b"bo", b"dy"], HI),
        ([POST + b"Content-Length: 4\r\n\r\nb", b"ody"], [b"b", b"ody"], HI),
        ([POST + EXPECT + b"\r\n", b"bo", b"dy"], [b"bo", b"dy"], CONTINUE + HI),
        ([POST + EXPECT + b"\r\nbo", b"dy"], [b"bo", b"dy"], HI),
        ([POST + EXPECT + b"\r\nbody"], [b"body"], HI),
        ([POST + EXPECT.replace(b"4", b"0") + b"\r\n"], [b""], HI),
        (
            [POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n", b"0\r\n\r\n"],
            [b"bo", b""],
            HI,
        ),
    ],
)
async def test_a_body_is_given_as_it_comes(pieces, parts, expected) -> None:
    received = []
    async with serving(listing(received)) as server:
        assert await server.ask(*pieces) == expected
    more = [True] * (len(parts) - 1) + [False]
    assert received == [("http.request", *it) for it in zip(parts, more, strict=True)]


@pytest.mark.parametrize("ends", ["answered", "half-closed", "gone"])
async def test_after_the_body_comes_a_disconnect_once_nobody_listens(ends) -> None:
    messages = []

    async def app(scope, receive, send) -> None:
        messages.append(await receive())
        if ends == "answered":
            for message in answer(b"hi", headers=[LENGTH]):
                await send(message)
        messages.append(await receive())
        if ends == "half-closed":
            for message in answer(b"hi", headers=[LENGTH]):
                await send(message)
        if ends == "gone":
            with pytest.raises(Disconnected):
                await send(answer(b"hi")[0])
            messages.append(await receive())

    async with serving(app) as server:
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await server.settle()
        assert len(messages) == (2 if ends == "answered" else 1)
        if ends == "half-closed":
            writer.write_eof()
        elif ends == "gone":
            reset = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            writer.transport.abort()
        await server.settle()
        if ends != "gone":
            assert await reader.readexactly(len(HI)) == HI
        writer.close()
    assert [it["type"] for it in messages[1:]] == ["http.disconnect"] * len(messages[1:])
    assert len(messages) == (3 if ends == "gone" else 2)


async def test_a_body_that_can_t_be_read_is_no_error_of_an_answer_that_has_begun() -> None:
    messages = []

    async def app(scope, receive, send) -> None:
        whole = answer(b"hi", b"")
        await send(whole[0])
        await send(whole[1])
        messages.append(await receive())
        await send(whole[2])

    async with serving(app) as server:
        received = await server.ask(
            POST + b"Transfer-Encoding: chunked\r\n\r\n", b"nonsense\r\n", NEXT
        )
    assert [it["type"] for it in messages] == ["http.disconnect"]
    assert received == OK + CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"


async def test_a_body_is_given_to_nobody_once_the_answer_has_begun_unless_it_is_all_there() -> None:
    messages = []

    async def app(scope, receive, send) -> None:
        start, body = answer(b"hi", headers=[LENGTH])
        await send(start)
        messages.append(await receive())
        await send(body)

    async with serving(app) as server:
        assert await server.ask(POST + b"Content-Length: 4\r\n\r\nbody") == HI
        reader, writer = await server.connect()
        writer.write(POST + b"Content-Length: 9\r\n\r\nhalf")
        await server.settle()
        writer.write_eof()
        assert await reader.read() == HI
        writer.close()
    given, gone = messages
    assert (given["body"], gone["type"]) == (b"body", "http.disconnect")


async def test_who_goes_away_leaves_no_error(caplog) -> None:
    going = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await going.wait()
        await send(answer(b"hi")[0])

    async with serving(app) as server:
        _, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await server.settle()
        [connection] = server.state.connections
        connection._transport.abort()
        await server.settle()
        going.set()
        await server.settle()
        writer.close()
    gc.collect()  # of what nobody asked a task
    assert caplog.records == []


HOST = b"Host: localhost\r\n"
BODY = b'{"value": "1.25"}'
ADD = (
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 17\r\n" % ENTRIES.encode()
)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def test_an_answer_is_never_overtaken_by_a_refusal(raw, count) -> None:
    for garbage in (b"\0\r\n\r\n", b"GARBAGE\r\n\r\n", b"\n", b"GET / HTTP/1.1\r\n\r\n"):
        for request in (ADD + b"\r\n" + BODY, ADD + b"Origin: http://localhost\r\n\r\n" + BODY):
            before = count()
            assert statuses(raw(request + garbage)) == [201, 400]
            assert count() == before + 1


def test_an_upgrade_is_ignored_and_the_body_read(raw, count) -> None:
    before = count()
    last = b"GET /display_service/total HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    received = raw(ADD + UPGRADE + b"\r\n" + BODY + ADD + UPGRADE + b"\r\n" + BODY + last)
    assert statuses(received) == [201, 201, 200]
    assert count() == before + 2
    assert statuses(raw(ADD + UPGRADE + b"\r\n" + b'{"value": "wrong"' + last)) == [400, 200]


def test_a_client_that_closes_its_sending_side_gets_its_answers(server) -> None:
    for requests, expected in (
        (ADD + b"\r\n" + BODY, [201]),
        ((ADD + b"\r\n" + BODY) * 3, [201, 201, 201]),
        (b"GET /display_service HTTP/1.1\r\n" + HOST + b"\r\n", [200]),
        (b"GET /display_service/entries.csv HTTP/1.1\r\n" + HOST + b"\r\n", [200]),
        (ADD + b"\r\n" + BODY[:-1], [400]),
    ):
        with connect(server) as connection:
            connection.sendall(requests)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while part := connection.recv(65536):
                received += part
            assert statuses(received) == expected


def test_http_1_0_gets_no_chunks(raw) -> None:
    head, _, body = raw(b"GET /display_service/entries.csv HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert body.startswith(b"id,value")


def test_requests_ahead_of_their_answers_wait_in_the_kernel(server, client) -> None:
    requests = (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 4096
    before = resident(server)
    with connect(server) as connection:
        connection.setblocking(False)
        refused = 0
        # A server without a bound takes all of it: it would be asked for 50 GiB of pages.
        for _ in range(1000):
            try:
                connection.send(requests)
                refused = 0
            except BlockingIOError:
                refused += 1
                assert client.get("/display_service/healthz").status_code == 200
            if refused == 20:
                break
        assert refused == 20
        assert resident(server) - before < 32 * 2**20


def test_a_body_that_nobody_asked_for_is_bounded_and_not_kept(tally_up) -> None:
    running = tally_up()
    endless = (
        b"GET /display_service/events HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % 2**30
    )
    before = resident(running)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(connect(running))
            connection.sendall(endless)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(64):
                    connection.send(b"x" * 65536)
        assert httpx.get(f"{running.url}/display_service/healthz").status_code == 200
        assert resident(running) - before < 64 * 2**20
    running.stop()


def test_bodies_that_are_being_read_are_bounded_together(tally_up) -> None:
    running = tally_up()
    before = resident(running)
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(connect(running)) for _ in range(MAX_HELD // MAX_BODY + 10)]
        head = ADD.replace(b"17", b"%d" % MAX_BODY) + b"\r\n"
        for connection in asked:
            connection.sendall(head + b" " * (MAX_BODY - 1))
        refused = []
        while len(refused) < 10:  # who is over the bound is told before the end of its body
            refused, _, _ = select.select(asked, [], [], 20)
            assert refused
        assert {connection.recv(12) for connection in refused} == {b"HTTP/1.1 503"}
        for connection in (rest := set(asked) - set(refused)):
            connection.sendall(b" ")
        assert {connection.recv(12) for connection in rest} == {b"HTTP/1.1 400"}
        assert resident(running) - before < 3 * MAX_HELD
    assert httpx.post(f"{running.url}{ENTRIES}", json={"value": 1}).status_code == 201
    running.stop()


def test_connections_have_a_limit(tally_up) -> None:
    running = tally_up(TALLY_MAX_CONNECTIONS="50")
    one = b"GET /display_service/healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(connect(running)) for _ in range(200)]
        for connection in asked[50:]:
            assert connection.recv(65536).startswith(b"HTTP/1.1 503")
        for connection in asked[:50]:
            connection.sendall(one)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert httpx.get(f"{running.url}/display_service/healthz").status_code == 200
    running.stop()


def resident(server) -> int:
    """Give the bytes of memory that the server's process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024
