"""Where a body ends, and its bounds."""

import pytest

from tally.web.framing import MAX_CHUNKS, MAX_RECEIVED, MAX_SIZE_LINE, MAX_TRAILERS, BodyReader
from tally.web.problem import Problem

CHUNKS = b'1\r\nb\r\n03;a;b=1 ; c="\\""\r\nody\r\n0\r\nX-Trailer: 1\r\n\r\n'


@pytest.mark.parametrize(("length", "body"), [(4, b"body"), (None, CHUNKS)])
def test_what_comes_after_a_body_is_not_part_of_it(length, body) -> None:
    for at in range(len(body)):
        one = BodyReader(length)
        assert one.read(body[:at]) + one.read(body[at:] + b"GET /") == b"body"
        assert (one.whole, one.rest) == (True, b"GET /")


TOO_MUCH = {
    "chunks": (b"1\r\nx\r\n" * (MAX_CHUNKS + 1), 413),
    "trailers": (b"0\r\n" + b"X: y\r\n" * MAX_TRAILERS, 431),
    "one-trailer": (b"0\r\nX: " + b"y" * 2 * MAX_TRAILERS, 431),
    "extension": (b"1;" + b"y" * 2 * MAX_SIZE_LINE, 400),
    "extensions": ((b"1;" + b"y" * (MAX_SIZE_LINE // 2) + b"\r\nx\r\n") * 100, 413),
    "bytes": (b"%x\r\n" % (2 * MAX_RECEIVED) + b"x" * (MAX_RECEIVED + 1), 413),
}


def read_in_pieces(one: BodyReader, data: bytes) -> None:
    for at in range(0, len(data), 4096):
        one.read(data[at : at + 4096])


@pytest.mark.parametrize(("data", "status"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_body_that_breaks_a_bound_is_refused_before_its_end(data, status) -> None:
    with pytest.raises(Problem) as caught:
        read_in_pieces(BodyReader(None), data)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "data",
    [b"x\r\n", b"-1\r\n", b"1\nx\r\n0\r\n\r\n", b"1\r\nxy\r\n", b"1\r\nx0\r\n\r\n", b"0x1\r\n"],
)
def test_chunks_that_are_malformed_are_refused(data) -> None:
    with pytest.raises(Problem) as caught:
        BodyReader(None).read(data)
    assert caught.value.status == 400
