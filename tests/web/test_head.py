"""What a head must be: each rule refuses with its status and closes the connection."""

import json

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tally.web import head
from tally.web.head import Head, read
from tally.web.problem import Problem

HEAD = b"GET /display_service/healthz HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
END = b"\r\n"
LENGTH = b"Content-Length: "
CHUNKED = b"Transfer-Encoding: chunked\r\n"
URL = b"GET /%b HTTP/1.1\r\n" + HOST
FULL = HEAD + HOST + b"X: " + b"y" * (head.MAX_FIELDS - len(HOST) - len(b"X: \r\n")) + END
BAD = (400, "invalid-http")
REFUSED = {
    "no-host": (HEAD, BAD),
    "two-hosts": (HEAD + HOST + HOST, BAD),
    "empty-host": (HEAD + b"Host: \r\n", BAD),
    "host-with-user": (HEAD + b"Host: me@x\r\n", BAD),
    "host-with-path": (HEAD + b"Host: x/y\r\n", BAD),
    "host-with-wrong-port": (HEAD + b"Host: x:http\r\n", BAD),
    "host-with-long-port": (HEAD + b"Host: x:123456\r\n", BAD),
    "wrong-host-in-1.0": (HEAD.replace(b"1.1", b"1.0") + b"Host: a b\r\n", BAD),
    "line-feed-alone": (HEAD + HOST + b"X: 1\nY: 2\r\n", BAD),
    "line-feeds-only": (b"GET / HTTP/1.1\nHost: x\n", BAD),
    "folded-line": (HEAD + HOST + b"X: 1\r\n 2\r\n", BAD),
    "length-twice": (HEAD + HOST + LENGTH + b"5\r\n" + LENGTH + b"5\r\n", BAD),
    "chunked-twice": (HEAD + HOST + CHUNKED + CHUNKED, BAD),
    "both-lengths": (HEAD + HOST + LENGTH + b"5\r\n" + CHUNKED, BAD),
    "chunks-in-1.0": (HEAD.replace(b"1.1", b"1.0") + CHUNKED, BAD),
    "length-with-sign": (HEAD + HOST + LENGTH + b"+5\r\n", BAD),
    "no-length": (HEAD + HOST + LENGTH + b"\r\n", BAD),
    "gzip": (HEAD + HOST + CHUNKED.replace(b"chunked", b"gzip, chunked"), (501, "invalid-http")),
    "connect": (b"CONNECT x:80 HTTP/1.1\r\n" + HOST, (501, "invalid-http")),
    "version": (HEAD.replace(b"1.1", b"2.0") + HOST, (505, "invalid-http")),
    "target": (b"GET display_service HTTP/1.1\r\n" + HOST, BAD),
    "star": (b"GET * HTTP/1.1\r\n" + HOST, BAD),
    "star-without-host": (b"OPTIONS * HTTP/1.1\r\n", BAD),
    "other-scheme": (b"GET ftp://x/ HTTP/1.1\r\n" + HOST, BAD),
    "absolute-without-host": (b"GET http://x/ HTTP/1.1\r\n", BAD),
    "absolute-without-host-in-1.0": (b"GET http://x/ HTTP/1.0\r\n", BAD),
    "absolute-beside-wrong-host": (b"GET http://x/ HTTP/1.1\r\nHost: a b\r\n", BAD),
    "absolute-with-wrong-host": (b"GET http://me@x/ HTTP/1.1\r\n" + HOST, BAD),
    "url": (URL % (b"x" * head.MAX_URL), (414, "url-too-long")),
    "fields": (FULL.replace(b"X: ", b"X: y"), (431, "headers-too-large")),
    "field": (HEAD + HOST + b"X: 1\r\n" * head.MAX_HEADERS, (431, "headers-too-large")),
}


@pytest.mark.parametrize(("data", "refusal"), REFUSED.values(), ids=REFUSED)
def test_a_head_that_breaks_a_rule_is_refused(data, refusal) -> None:
    with pytest.raises(Problem) as caught:
        read(data + END)
    assert (caught.value.status, caught.value.rule) == refusal


READ = {
    "url": (URL % (b"x" * (head.MAX_URL - 1)), {"target": b"/" + b"x" * (head.MAX_URL - 1)}),
    "fields": (FULL, {"length": 0}),
    "field": (
        HEAD + HOST + b"X: 1\r\n" * (head.MAX_HEADERS - 1),
        {"by_name": {b"host": b"localhost", b"x": b"1"}},
    ),
    "name": (HEAD + b"hOST: \tx \t\r\n", {"fields": [(b"host", b"x")]}),
    "1.0": (HEAD.replace(b"1.1", b"1.0"), {"is_1_0": True, "keep_alive": False}),
    "1.2": (HEAD.replace(b"1.1", b"1.2") + HOST, {"is_1_0": False, "keep_alive": True}),
    "close": (HEAD + HOST + b"Connection: Upgrade , CLOSE\r\n", {"keep_alive": False}),
    "close-first": (
        HEAD + HOST + b"Connection: close\r\nConnection: Upgrade\r\n",
        {"keep_alive": False},
    ),
    "no-close": (HEAD + HOST + b"X: close\r\nConnection: closed\r\n", {"keep_alive": True}),
    "expect": (HEAD + HOST + b"Expect: 100-Continue\r\n", {"expects_continue": True}),
    "expect-else": (HEAD + HOST + b"Expect: 200-ok\r\n", {"expects_continue": False}),
    "expect-1.0": (
        HEAD.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\n",
        {"expects_continue": False},
    ),
    "length": (HEAD + HOST + LENGTH + b"0012\r\n", {"length": 12}),
    "length-0": (HEAD + HOST + LENGTH + b"0" * 9 + END, {"length": 0}),
    "length-long": (HEAD + HOST + LENGTH + b"9" * 5000 + END, {"length": 10**19 - 1}),
    "chunked": (HEAD + HOST + b"Transfer-Encoding: Chunked\r\n", {"length": None}),
    "ipv6": (HEAD + b"Host: [::1]:8080\r\n", {"by_name": {b"host": b"[::1]:8080"}}),
    "star": (b"OPTIONS * HTTP/1.1\r\n" + HOST, {"target": b"*"}),
    "absolute": (
        b"GET HTTPS://other:80/a?b HTTP/1.1\r\nX: 1\r\n" + HOST,
        {
            "target": b"/a?b",
            "fields": [(b"x", b"1"), (b"host", b"other:80")],
            "by_name": {b"x": b"1", b"host": b"other:80"},
        },
    ),
    "absolute-1.0": (b"GET http://other HTTP/1.0\r\n" + HOST, {"target": b"/"}),
    "absolute-query": (b"GET http://other?b HTTP/1.1\r\n" + HOST, {"target": b"/?b"}),
}


@pytest.mark.parametrize(("data", "said"), READ.values(), ids=READ)
def test_a_head_that_breaks_none_is_read(data, said) -> None:
    read_as = read(data + END)._asdict()
    assert {name: read_as[name] for name in said} == said


@pytest.mark.parametrize(
    ("data", "start", "found"),
    [(b"a\r\nb\n", 0, True), (b"a\r\nb\r\n", 0, False), (b"\na\r\n", 1, False), (b"\na", 0, True)],
)
def test_a_line_feed_alone_is_found_before_the_head_is_whole(data, start, found) -> None:
    assert head.has_bare_line_feed(data, start) == found


@pytest.mark.parametrize(
    "data",
    [HEAD + END, END + END + HEAD + HOST + END, END * 35_000 + HEAD + HOST + END],
    ids=["no-host", "empty-lines", "many-empty-lines"],
)
def test_after_a_head_that_breaks_a_rule_nothing_is_read(raw, data) -> None:
    answer = raw(data + HEAD + HOST + END)
    assert answer.count(b"HTTP/1.1 ") == 1
    lines, _, body = answer.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nconnection: close" in lines
    assert json.loads(body)["rule"] == "invalid-http"


ACCEPTED = {
    "empty-line": END + HEAD + HOST + END,
    "absolute": HEAD.replace(b"/", b"http://localhost/", 1) + b"Host: other\r\n" + END,
    "no-host-in-1.0": HEAD.replace(b"1.1", b"1.0") + END,
    "upgrade": HEAD + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_a_head_that_breaks_no_rule_is_served(raw, data) -> None:
    last = HEAD + HOST + b"Connection: close\r\n\r\n"
    statuses = [part[:3] for part in raw(data + last).split(b"HTTP/1.1 ")[1:]]
    assert statuses == ([b"200"] if b"HTTP/1.0" in data else [b"200", b"200"])


def test_a_refused_head_is_logged_counted_and_marked_as_every_answer(raw, server) -> None:
    lines, _, body = raw(b"NONSENSE\r\n\r\n").partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in lines.split(b"\r\n")[1:])
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
        ours = read(data)
    except Problem:
        return
    careful = h11.Connection(h11.SERVER)
    careful.receive_data(data)
    request = careful.next_event()
    assert ours.method == request.method
    assert request.target.endswith(ours.target) or request.target.startswith(b"http")
    assert [it for it in ours.fields if it[0] != b"host"] == [
        it for it in request.headers if it[0] != b"host"
    ]
    assert ours.expects_continue == careful.they_are_waiting_for_100_continue
    assert ours.length == length_by(careful)
    assert ours.keep_alive == keeps_alive(request)


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
    ours = read(PLAIN.replace(b"/adder", b"http://other/adder"))
    fields = [
        (b"content-length", b"3"),
        (b"x-any", b"two words"),
        (b"expect", b"100-continue"),
        (b"host", b"other"),
    ]
    target = b"/adder_service/entries"
    assert ours == Head(b"POST", target, False, fields, dict(fields), 3, True, True)
