"""Where a body ends, and its bounds."""

from collections.abc import Iterator

import pytest

from tally.web.framing import (
    MAX_CHUNKS,
    MAX_FRAMING,
    MAX_RECEIVED,
    MAX_SIZE_LINE,
    MAX_TRAILERS,
    BodyReader,
)
from tally.web.problem import Problem
from tally.web.request import MAX_BODY

END = b"\r\n"
LAST = b"0\r\n\r\n"
CHUNKS = b'1\r\nb\r\n03;a;b=1 ; c="\\""\r\nody\r\n000\r\nX-Trailer: 1\r\n\r\n'
LONG = b"0000000010\r\n0123456789abcdef\r\n" + LAST
BODIES = [(0, b"", b""), (4, b"body", b"body"), (None, CHUNKS, b"body"), (None, LONG, LONG[12:28])]


def read_all(pieces, length=None) -> tuple[bytes, bool, bytes]:
    """Give the body, whether it is whole, and what came after it."""
    reader = BodyReader(length)
    return b"".join(map(reader.read, pieces)), reader.whole, reader.rest


@pytest.mark.parametrize(("length", "sent", "body"), BODIES)
def test_what_comes_after_a_body_is_not_part_of_it(length, sent, body) -> None:
    for at in range(len(sent) + 1):
        pieces = (sent[:at], sent[at:] + b"GET /")
        if at < len(sent) or not sent:
            assert read_all(pieces, length) == (body, True, b"GET /")
    bytewise = (sent[at : at + 1] for at in range(len(sent)))
    assert read_all(bytewise, length) == (body, True, b"")


@pytest.mark.parametrize(("length", "sent", "body"), BODIES[1:])
def test_a_body_is_whole_with_its_last_byte(length, sent, body) -> None:
    for at in range(len(sent)):
        assert read_all([sent[:at]], length)[1] is False


def line(size: int, name: bytes = b"X: ") -> bytes:
    return name + b"y" * (size - len(name) - 2) + b"\r\n"


def chunk(extension: int) -> bytes:
    """A chunk that adds so many bytes to the body."""
    return line(extension - 2, b"1;") + b"x\r\n"


TRAILERS = b"0\r\n" + line(MAX_TRAILERS // 2) * 2 + END
ONE_TRAILER = b"0\r\n" + line(MAX_TRAILERS) + END
EXTENSION = line(MAX_SIZE_LINE, b"1;") + b"x\r\n" + LAST
FRAMING = chunk(2048) * 63 + chunk(2048 - len(LAST)) + LAST
CHUNK = b"1\r\nx\r\n"
# What is just allowed, what is not, and with which status that is refused.
BOUNDS = {
    "chunks": (CHUNK * MAX_CHUNKS + LAST, CHUNK * (MAX_CHUNKS + 1), 413),
    "trailers": (TRAILERS, TRAILERS.replace(b"X", b"XX", 1), 431),
    "one-trailer": (ONE_TRAILER, ONE_TRAILER.replace(b"X", b"XX", 1), 431),
    "extension": (EXTENSION, EXTENSION.replace(b"y", b"yy", 1), 400),
    "framing": (FRAMING, FRAMING.replace(b"y", b"yy", 1), 413),
}


@pytest.mark.parametrize("size", [1, 4096, 2**20])
@pytest.mark.parametrize(("most", "more", "status"), BOUNDS.values(), ids=BOUNDS)
def test_a_body_has_bounds(most, more, status, size) -> None:
    def in_pieces(data: bytes) -> Iterator[bytes]:
        return (data[at : at + size] for at in range(0, len(data), size))

    assert len(FRAMING) == MAX_FRAMING + 64
    assert read_all(in_pieces(most))[1:] == (True, b"")
    with pytest.raises(Problem) as caught:
        read_all(in_pieces(more))
    assert caught.value.status == status


def test_the_greatest_body_may_come_in_chunks_of_128_bytes() -> None:
    data = (b"80\r\n" + b" " * 128 + b"\r\n") * (MAX_BODY // 128) + LAST
    assert read_all([data]) == (b" " * MAX_BODY, True, b"")


@pytest.mark.parametrize("head", [b"", b"%x\r\n" % 2**30], ids=["length", "chunks"])
def test_so_many_bytes_are_received_at_most(head) -> None:
    reader = BodyReader(None if head else 2**30)
    reader.read(head + b" " * (MAX_RECEIVED - len(head)))
    with pytest.raises(Problem) as caught:
        reader.read(b" ")
    assert (caught.value.status, caught.value.rule) == (413, "body-too-large")


# Each is part of a line, which has no end yet.
@pytest.mark.parametrize(
    ("part", "status"),
    [
        (b"1\r\nx\r", None),
        (b"1\r\nxy", 400),
        (line(MAX_SIZE_LINE + 2, b"1;")[:-2], None),
        (line(MAX_SIZE_LINE + 3, b"1;")[:-2], 400),
        (b"0\r\n" + line(MAX_TRAILERS + 1)[:-2], None),
        (b"0\r\n" + line(MAX_TRAILERS + 2)[:-2], 431),
    ],
    ids=["end", "no-end", "size", "long-size", "trailer", "long-trailer"],
)
def test_what_can_t_become_a_line_is_refused_before_its_end(part, status) -> None:
    reader = BodyReader(None)
    if status is None:
        reader.read(part)
        return
    with pytest.raises(Problem) as caught:
        reader.read(part)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "data",
    [
        *(b"x\r\n", b"\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1 \r\n", b"123456789\r\n"),
        *(b"1\nx\r\n0\r\n\r\n", b"1\r\nxy\r\n", b"1\r\nx0\r\n\r\n", b"1\r\nx\n"),
        *(b"0\r\nno field\r\n", b"0\r\nX: 1\n", b"0\r\n\n"),
    ],
)
def test_chunks_that_are_malformed_are_refused(data) -> None:
    with pytest.raises(Problem) as caught:
        BodyReader(None).read(data)
    assert (caught.value.status, caught.value.rule) == (400, "invalid-http")
