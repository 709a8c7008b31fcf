"""What a head must be: each rule refuses with its status and closes the connection."""

import json

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tally.web.head import Head, read
from tally.web.problem import Problem

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


PLAIN = (
    b"POST /adder_service/entries HTTP/1.1\r\nHost: tally.test:8080\r\nContent-Length: 3\r\n"
    b"X-Any: two words\r\nExpect: 100-continue\r\n\r\n"
)
# What a head is made of, right and wrong.
PIECES = [
    *(b"GET", b"HEAD", b"get", b" ", b"  ", b"/", b"/a?b=c#d", b"http://x/y", b"*", b"OPTIONS"),
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\r\n", b"\0"),
    *(b"Host: x", b"Host: a b", b"Host:", b"Host : x", b"X: ", b"X:", b"X: \xe9", b"\t", b","),
    *(b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 03", b"Content-Length: +3"),
    *(b"Content-Length: 3, 3", b"Transfer-Encoding: chunked", b"Expect: 100-continue"),
    *(b"Connection: close", b"Connection: keep-alive, Close", b"Upgrade: h2c"),
]


@st.composite
def near_plain(draw) -> bytes:
    """A right head in which a few places were cut out or written over."""
    data = PLAIN
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 2, 20])))
        data = data[:start] + draw(st.sampled_from(PIECES)) + data[end:]
    return data


@st.composite
def from_pieces(draw) -> bytes:
    """Lines in an order that may be right."""
    pieces = st.sampled_from(PIECES)
    fields = draw(st.lists(pieces, max_size=5))
    first = [draw(pieces), b" ", draw(pieces), b" ", draw(pieces)]
    return b"".join(first) + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@example(PLAIN)
@given(near_plain() | from_pieces())
def test_what_is_read_h11_reads_alike(data) -> None:
    try:
        head = read(data)
    except Problem:
        return
    careful = h11.Connection(h11.SERVER)
    careful.receive_data(data)
    request = careful.next_event()
    assert head.method == request.method
    assert request.target.endswith(head.target) or request.target.startswith(b"http")
    assert [it for it in head.fields if it[0] != b"host"] == [
        it for it in request.headers if it[0] != b"host"
    ]
    assert head.expects_continue == careful.they_are_waiting_for_100_continue
    assert head.length == length_by(careful)
    assert head.keep_alive == keeps_alive(request)


def length_by(careful: h11.Connection) -> int | None:
    """What h11 takes for the body: so many bytes, or None where these are chunks."""
    last_chunk, more = b"0\r\n\r\n", b"x" * 100
    careful.receive_data(last_chunk + more)
    while not isinstance(careful.next_event(), h11.EndOfMessage):
        pass
    rest = careful.trailing_data[0]
    return None if rest == more else len(last_chunk + more) - len(rest)


def keeps_alive(request: h11.Request) -> bool:
    options = b",".join(value for name, value in request.headers if name == b"connection")
    return request.http_version != b"1.0" and b"close" not in [
        it.strip().lower() for it in options.split(b",")
    ]


def test_a_head_says_all_that_is_needed() -> None:
    head = read(PLAIN.replace(b"/adder", b"http://other/adder"))
    fields = [
        (b"content-length", b"3"),
        (b"x-any", b"two words"),
        (b"expect", b"100-continue"),
        (b"host", b"other"),
    ]
    target = b"/adder_service/entries"
    assert head == Head(b"POST", target, False, fields, dict(fields), 3, True, True)
