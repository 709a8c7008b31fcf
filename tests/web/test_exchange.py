"""A request and its answer: order, half-closed connections, clients that do not read."""

import contextlib
import select
import socket
from pathlib import Path

import httpx

from tally.web.request import MAX_BODY, MAX_HELD
from tests.support.http import ENTRIES, connect

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
