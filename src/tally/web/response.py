"""Responses beyond Starlette's own."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# Sends a piece of a body.
Write = Callable[[bytes], Awaitable[None]]


class JSONResponse(Response):
    """JSON, encoded by msgspec."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


class PageResponse(Response):
    """A page of HTML."""

    media_type = "text/html"


class Stream(Response):
    """A body that `send_body` writes piece by piece."""

    def __init__(
        self, send_body: Callable[[Write, Receive], Awaitable[None]], headers: Mapping[str, str]
    ) -> None:
        self._send_body = send_body
        self.status_code = 200
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            # An empty piece sends the head, however long the first one takes.
            await write(b"")
            await self._send_body(write, receive)
        await send({"type": "http.response.body", "body": b""})
