"""Limits on what a request may be and how long it may take."""

import json
import socket
import time

import pytest

from .conftest import ENTRIES

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
