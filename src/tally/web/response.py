"""Responses beyond Starlette's own."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tally.web.compression import LEAST, accepts_gzip, gzip
from tally.web.problem import RETRY_AFTER

# Sends a piece of a body.
Write = Callable[[bytes], Awaitable[None]]


class JSONResponse(Response):
    """JSON, encoded by msgspec."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


class PageResponse(Response):
    """A page of HTML, compressed for who accepts that."""

    media_type = "text/html"

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        super().init_headers(headers)
        self.headers["Vary"] = "Accept-Encoding"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) >= LEAST and accepts_gzip(scope["headers"]):
            self.body = gzip(bytes(self.body))
            self.headers["Content-Encoding"] = "gzip"
            self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)

    @classmethod
    def unavailable(cls, body: bytes) -> "PageResponse":
        """Answer with a page that lacks what can't be read right now."""
        return cls(body, 503, {"Retry-After": str(RETRY_AFTER)})


class Stream(Response):
    """A body that `send_body` writes piece by piece.

    What it raises before the first piece is answered as any error is: the head goes with that.
    """

    def __init__(
        self, send_body: Callable[[Write, Receive], Awaitable[None]], headers: Mapping[str, str]
    ) -> None:
        self._send_body = send_body
        self.status_code = 200
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def begin() -> None:
            nonlocal begun
            if not begun:
                begun = True
                start = {"type": "http.response.start", "status": self.status_code}
                await send({**start, "headers": self.raw_headers})

        async def write(piece: bytes) -> None:
            await begin()
            if scope["method"] == "HEAD":
                raise _HeadIsEnough
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        with contextlib.suppress(_HeadIsEnough):
            await self._send_body(write, receive)
        await begin()
        await send({"type": "http.response.body", "body": b""})


class _HeadIsEnough(Exception):
    """Ends the writing of a body that was not asked for."""
