"""A plain request: what is read as one, h11 and the rules of a head read alike."""

import h11
from hypothesis import given
from hypothesis import strategies as st

from tally.web import head
from tally.web.framing import MAX_TRAILERS, BodyReader
from tally.web.plain import read_plain

PLAIN = (
    b"POST /adder_service/entries HTTP/1.1\r\nHost: tally.test:8080\r\nContent-Length: 3\r\n"
    b"X-Any: two words\r\n\r\n123"
)
# What a request is made of, right and wrong.
PIECES = [
    *(b"GET", b"HEAD", b"CONNECT", b"get", b" ", b"  ", b"/", b"/a?b=c#d", b"http://x/y", b"*"),
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\r\n", b"\0"),
    *(b"Host: x", b"Host: a b", b"Host:", b"Host : x", b"X: ", b"X:", b"X: \xe9", b"\t", b","),
    *(b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 03", b"Content-Length: +3"),
    *(b"Content-Length: 3, 3", b"Transfer-Encoding: chunked", b"Expect: 100-continue"),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: h2c"),
    *(b"123", b"", b"0\r\n\r\n"),
]


@st.composite
def near_plain(draw) -> bytes:
    """A plain request in which a few places were cut out or written over."""
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
    return (
        b"".join(first) + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + draw(pieces)
    )


@given(near_plain() | from_pieces())
def test_what_is_read_plainly_is_read_so_with_care(data) -> None:
    plain = read_plain(data)
    if plain is None:
        return
    end = data.index(b"\r\n\r\n") + 4
    assert not head.malformed(data, 0, end)
    parser = h11.Connection(h11.SERVER, MAX_TRAILERS)
    parser.receive_data(data[:end])
    request = head.read(parser)
    reader = BodyReader(parser)
    body = reader.read(data[end:])
    assert (reader.whole, reader.rest) == (True, b"")
    assert plain.line == b"%b %b HTTP/1.1" % (request.method, request.target)
    assert list(plain.headers.items()) == list(request.headers)
    assert plain.body == body
    assert plain.keep_alive == head.keeps_alive(request)
    assert not parser.they_are_waiting_for_100_continue


def test_the_plainest_request_is_read_plainly() -> None:
    plain = read_plain(PLAIN)
    assert plain is not None
    assert plain.line == b"POST /adder_service/entries HTTP/1.1"
    assert plain.headers[b"x-any"] == b"two words"
    assert (plain.body, plain.keep_alive) == (b"123", True)
