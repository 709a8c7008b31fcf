"""A request and its answer: order, half-closed connections, clients that do not read."""

import socket
from pathlib import Path

from tests.support.http import ENTRIES, connect

HOST = b"Host: x\r\n"
BODY = b'{"value": "1.25"}'
ADD = (
    b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n"
    % ENTRIES.encode()
)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def test_an_answer_is_never_overtaken_by_a_refusal(raw, count) -> None:
    for garbage in (b"\0\r\n\r\n", b"GARBAGE\r\n\r\n", b"\n", b"GET / HTTP/1.1\r\n\r\n"):
        for request in (ADD + b"\r\n" + BODY, ADD + b"Origin: http://x\r\n\r\n" + BODY):
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


def resident(server) -> int:
    """Give the bytes of memory that the server's process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024
