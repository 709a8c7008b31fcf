"""JSON, pages, and a body that is sent piece by piece."""

import pytest

from tally.web.response import JSONResponse, PageResponse, Stream


def test_json_and_pages_say_what_they_are() -> None:
    answer = JSONResponse({"sum": "1.5"})
    assert (answer.body, answer.headers["content-type"]) == (b'{"sum":"1.5"}', "application/json")
    page = PageResponse("<p>")
    assert (page.body, page.headers["content-type"]) == (b"<p>", "text/html; charset=utf-8")


@pytest.mark.parametrize(("size", "coded"), [(1023, False), (1024, True)])
async def test_what_fits_a_packet_is_not_compressed(size, coded) -> None:
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip")]}
    await PageResponse("x" * size)(scope, None, send)
    assert ((b"content-encoding", b"gzip") in sent[0]["headers"]) is coded


@pytest.mark.parametrize(
    ("method", "written", "pieces"),
    [
        ("GET", (b"a", b"b"), [b"a", b"b", b""]),
        ("HEAD", (b"a", b"b"), [b""]),
        ("GET", (), [b""]),
        ("HEAD", (), [b""]),
    ],
)
async def test_a_stream_sends_its_pieces_and_ends(method, written, pieces) -> None:
    sent = []

    async def send(message):
        sent.append(message)

    async def send_body(write, receive):
        for piece in written:
            await write(piece)

    await Stream(send_body, {"content-type": "text/plain"})({"method": method}, None, send)
    start, *body = sent
    assert (start["status"], start["headers"]) == (200, [(b"content-type", b"text/plain")])
    assert [message["body"] for message in body] == pieces
    more = [message.get("more_body", False) for message in body]
    assert more == [True] * (len(body) - 1) + [False]


async def test_what_fails_before_the_first_piece_is_not_answered_by_the_stream() -> None:
    sent = []

    async def send(message):
        sent.append(message)

    async def send_body(write, receive):
        raise KeyError

    with pytest.raises(KeyError):
        await Stream(send_body, {})({"method": "GET"}, None, send)
    assert sent == []
