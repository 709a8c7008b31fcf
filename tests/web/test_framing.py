"""Where a body ends, and its bounds."""

import h11
import pytest

from tally.web.framing import MAX_CHUNKS, MAX_RECEIVED, MAX_TRAILERS, BodyReader
from tally.web.problem import Problem

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def reader(head: bytes = CHUNKED) -> BodyReader:
    parser = h11.Connection(h11.SERVER, MAX_TRAILERS)
    parser.receive_data(head)
    parser.next_event()
    return BodyReader(parser)


@pytest.mark.parametrize("head", [HEAD + b"Content-Length: 4\r\n\r\n", CHUNKED])
def test_what_comes_after_a_body_is_not_part_of_it(head) -> None:
    body = b"1\r\nb\r\n3;ext=1\r\nody\r\n0\r\nX-Trailer: 1\r\n\r\n" if head is CHUNKED else b"body"
    for at in range(len(body)):
        one = reader(head)
        assert one.read(body[:at]) + one.read(body[at:] + b"GET /") == b"body"
        assert (one.whole, one.rest) == (True, b"GET /")


@pytest.mark.parametrize("length", [b"4", b"0" * 15 + b"4"])
def test_a_length_may_begin_with_zeros(length) -> None:
    one = reader(HEAD + b"Content-Length: " + length + b"\r\n\r\n")
    assert one.read(b"body") == b"body"
    assert one.whole


TOO_MUCH = {
    "chunks": (b"1\r\nx\r\n" * (MAX_CHUNKS + 1), 413),
    "trailers": (b"0\r\n" + b"X: y\r\n" * MAX_TRAILERS, 431),
    "one-trailer": (b"0\r\nX: " + b"y" * 2 * MAX_TRAILERS, 431),
    "extension": (b"1;" + b"y" * 2 * MAX_TRAILERS, 431),
    "extensions": ((b"1;" + b"y" * MAX_TRAILERS + b"\r\nx\r\n") * 100, 413),
    "bytes": (b"%x\r\n" % (2 * MAX_RECEIVED) + b"x" * (MAX_RECEIVED + 1), 413),
}


def read_in_pieces(one: BodyReader, data: bytes) -> None:
    for at in range(0, len(data), 4096):
        one.read(data[at : at + 4096])


@pytest.mark.parametrize(("data", "status"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_body_that_breaks_a_bound_is_refused_before_its_end(data, status) -> None:
    with pytest.raises(Problem) as caught:
        read_in_pieces(reader(), data)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "data",
    [b"x\r\n", b"-1\r\n", b"1\nx\r\n0\r\n\r\n", b"1\r\nxy\r\n", b"1\r\nx0\r\n\r\n", b"0x1\r\n"],
)
def test_chunks_that_are_malformed_are_refused(data) -> None:
    with pytest.raises(Problem) as caught:
        reader().read(data)
    assert caught.value.status == 400
