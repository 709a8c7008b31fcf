"""Limits on what a request may be and how long it may take."""

import http.client
import json
import signal
import socket
import threading
import time

import pytest

from tally.web.lingering_close import MAX_BYTES, MAX_SECONDS
from tests.support.http import ENTRIES

HEAD = b"POST /adder_service/entries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def problem_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    return problem["status"], problem["rule"]


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (HEAD + b"Content-Length: 1048577\r\n\r\n", (413, "body-too-large")),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (414, "url-too-long")),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"y" * 33_000 + b"\r\n\r\n",
            (431, "headers-too-large"),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 101 + b"\r\n",
            (431, "headers-too-large"),
        ),
        (b"NONSENSE\r\n\r\n", (400, "invalid-http")),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", (400, "invalid-http")),
    ],
    ids=["body", "url", "header", "headers", "nonsense", "length"],
)
def test_too_much_is_refused(raw, request_bytes, expected) -> None:
    assert problem_of(raw(request_bytes)) == expected


def test_a_chunked_body_is_counted_as_it_comes(raw, count) -> None:
    before = count()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    answer = raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17 + b"0\r\n\r\n")
    assert answer.split()[1] == b"413"
    assert count() == before


def connect(server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=15)


def read_answer(connection: socket.socket) -> tuple[int, str]:
    """Read a whole answer, and give its status and its rule; a reset raises."""
    with http.client.HTTPResponse(connection) as answer:
        answer.begin()
        problem = json.loads(answer.read())
    assert problem["status"] == answer.status
    return problem["status"], problem.get("rule")


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
            assert read_answer(connection) == expected


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


def test_a_client_that_never_stops_is_cut_off_in_time_too(server) -> None:
    with connect(server) as connection:
        connection.sendall(ENDLESS)
        started = time.monotonic()
        read_answer(connection)
        send_until_cut_off(connection, b" ", 0.1)
        assert MAX_SECONDS - 1 < time.monotonic() - started < MAX_SECONDS + 4


def test_a_service_that_stops_still_has_its_answers_read_but_not_for_long(tally_up) -> None:
    running = tally_up()
    with connect(running) as endless, connect(running) as late:
        endless.sendall(ENDLESS)
        read_answer(endless)
        sender = threading.Thread(target=send_until_cut_off, args=(endless, b" ", 0.05))
        sender.start()
        late.sendall(HEAD + b"Expect: 100-continue\r\n" + IN_CHUNKS[: 512 * 1024])
        assert late.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        running.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        time.sleep(0.2)
        late.sendall(IN_CHUNKS[512 * 1024 :])
        time.sleep(0.2)
        assert read_answer(late) == (413, "body-too-large")
        assert running.stop() == 0
        # Half of what the endless client gets while a service runs; a stop needs far less.
        assert time.monotonic() - asked < MAX_SECONDS / 2
        sender.join()


def test_a_slow_head_and_a_slow_body_are_cut_off(server) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    slow = {
        "head-timeout": b"GET / HTTP/1.1\r\nHost: x\r\nX-",
        "body-timeout": HEAD + b'Content-Length: 20\r\n\r\n{"value"',
    }
    connections = {}
    for rule, start in slow.items():
        connections[rule] = socket.create_connection((host, int(port)), timeout=15)
        connections[rule].sendall(start)
    started = time.monotonic()
    for rule, connection in connections.items():
        answer = b""
        while part := connection.recv(65536):
            answer += part
        assert problem_of(answer) == (408, rule)
        assert 9 < time.monotonic() - started < 14
        connection.close()


def test_a_body_cut_short_adds_nothing(server, count) -> None:
    before = count()
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(HEAD + b'Content-Length: 12\r\n\r\n{"value": 1')
    assert count() == before


def test_clients_that_hang_up_lose_nothing_of_others(server, add, count) -> None:
    before = count()
    host, _, port = server.url.removeprefix("http://").partition(":")
    whole = HEAD + b'Content-Length: 12\r\n\r\n{"value": 1}'
    for _ in range(50):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(whole)
        assert add(1).status_code == 201
    assert 50 <= count() - before <= 100


def test_many_idle_connections_are_in_nobodys_way(server, add) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(1000)]
    assert add(1).status_code == 201
    for connection in idle:
        connection.close()


def test_no_banner_says_what_serves(client) -> None:
    for path in ("/", ENTRIES, "/nowhere"):
        assert "server" not in client.get(path).headers


def test_every_answer_carries_the_security_headers(client) -> None:
    for path in ("/", "/adder_service", "/display_service/total", "/nowhere"):
        headers = client.get(path, headers={"Accept": "text/html"}).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
