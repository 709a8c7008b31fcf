"""What a head must be: each rule refuses with its status and closes the connection."""

import json

import pytest

HEAD = b"GET /display_service/healthz HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
END = b"\r\n"
REFUSED = {
    "no-host": (HEAD + END, 400),
    "two-hosts": (HEAD + HOST + HOST + END, 400),
    "empty-host": (HEAD + b"Host: \r\n\r\n", 400),
    "host-with-user": (HEAD + b"Host: me@x\r\n\r\n", 400),
    "host-with-path": (HEAD + b"Host: x/y\r\n\r\n", 400),
    "host-with-wrong-port": (HEAD + b"Host: x:http\r\n\r\n", 400),
    "line-feed-alone": (HEAD + HOST + b"X: 1\nY: 2\r\n\r\n", 400),
    "line-feeds-only": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "folded-line": (HEAD + HOST + b"X: 1\r\n 2\r\n\r\n", 400),
    "both-lengths": (
        HEAD + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks-in-1.0": (
        HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "gzip-chunked": (HEAD + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "connect": (b"CONNECT x:80 HTTP/1.1\r\n" + HOST + END, 501),
    "version": (HEAD.replace(b"1.1", b"2.0") + HOST + END, 505),
    "target": (b"GET display_service HTTP/1.1\r\n" + HOST + END, 400),
    "empty-lines": (END + END + HEAD + HOST + END, 400),
    "many-empty-lines": (END * 35_000 + HEAD + HOST + END, 400),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_a_head_that_breaks_a_rule_is_refused_and_nothing_after_it_is_read(
    raw, data, status
) -> None:
    answer = raw(data + HEAD + HOST + END)
    assert answer.count(b"HTTP/1.1 ") == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["rule"] == "invalid-http"


ACCEPTED = {
    "empty-line": END + HEAD + HOST + END,
    "absolute": HEAD.replace(b"/", b"http://localhost/", 1) + b"Host: other\r\n" + END,
    "no-host-in-1.0": HEAD.replace(b"1.1", b"1.0") + END,
    "ipv6": HEAD + b"Host: [::1]:8080\r\n\r\n",
    "minor-version": HEAD.replace(b"1.1", b"1.2") + HOST + END,
    "upgrade": HEAD + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_a_head_that_breaks_none_is_served(raw, data) -> None:
    last = HEAD + HOST + b"Connection: close\r\n\r\n"
    statuses = [part[:3] for part in raw(data + last).split(b"HTTP/1.1 ")[1:]]
    assert statuses == ([b"200"] if b"HTTP/1.0" in data else [b"200", b"200"])


def test_a_refused_head_is_logged_counted_and_marked_as_every_answer(raw, server) -> None:
    head, _, body = raw(b"NONSENSE\r\n\r\n").partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    request_id = json.loads(body)["request_id"]
    assert headers[b"x-request-id"].decode() == request_id
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cache-control"] == b"no-store"
