"""A body that is sent piece by piece."""

import pytest

from tally.web.response import Stream


@pytest.mark.parametrize(("method", "pieces"), [("GET", [b"a", b"b", b""]), ("HEAD", [b""])])
async def test_a_stream_sends_its_pieces_and_ends(method, pieces) -> None:
    sent = []

    async def send(message):
        sent.append(message)

    async def send_body(write, receive):
        for piece in (b"a", b"b"):
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
