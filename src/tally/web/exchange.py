"""One request and its answer, as an ASGI application sees them."""

import asyncio
import re
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from starlette.types import ASGIApp, Message, Scope

from tally.web.problem import Problem

# A client that takes nothing of its answer for so many seconds is cut off.
STALL_SECONDS: Final = 30.0

STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}
_LINE_END: Final = re.compile(rb"[\r\n]")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS: Final = (204, 304)


class Disconnected(OSError):
    """The client went away before its answer was complete."""


class Connection(Protocol):
    """What an exchange needs of its connection."""

    def write(self, data: bytes) -> None: ...
    def answered(self, *, keep_alive: bool) -> None: ...
    def cut(self) -> None: ...
    def resume_reading(self) -> None: ...
    def default_lines(self) -> bytes: ...
    async def writable(self) -> None: ...


class Exchange:
    """Runs the application; `body` grows as it arrives, and `whole` tells that it is all there."""

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        *,
        keep_alive: bool,
        expects_continue: bool = False,
    ) -> None:
        self.scope = scope
        self.body = bytearray()
        self.whole = False
        self.keep_alive = keep_alive
        # No more can come from the client; an answer may still reach it.
        self.ended = False
        self.disconnected = False
        # Why what came of the body can't be read.
        self.failure: Problem | None = None
        self.changed = asyncio.Event()
        self._connection = connection
        self._expects_continue = expects_continue
        self._head: bytes
        self.begun = False
        self._complete = False
        self._chunked = False
        self._taken = False

    async def run(self, app: ASGIApp) -> None:
        """Answer; what the application can't complete ends with the connection."""
        try:
            await app(self.scope, self._receive, self._send)
        except Disconnected:
            pass  # while an error was to be answered: nobody is left to tell
        finally:
            self.failure = None  # its traceback holds this exchange
            if not self._complete:
                self._connection.cut()

    async def _receive(self) -> Message:
        """Give the body's next part; raise `Problem` if it can't be read."""
        if self._expects_continue and not self.begun and not self.body and not self.whole:
            self._connection.write(_CONTINUE)
        self._expects_continue = False
        while True:
            if self.failure is not None and not self.begun:
                raise self.failure
            if self.disconnected or self.failure or self._complete or (self._taken and self.ended):
                return {"type": "http.disconnect"}
            if not self._taken and (self.body or self.whole):
                body, self.body = bytes(self.body), bytearray()
                self._taken = self.whole
                self._connection.resume_reading()
                return {"type": "http.request", "body": body, "more_body": not self.whole}
            self.changed.clear()
            await self.changed.wait()

    async def _send(self, message: Message) -> None:
        """Write a part of the answer; the head goes with the first part of the body."""
        await self._connection.writable()
        if self.disconnected:
            raise Disconnected
        if message["type"] == "http.response.start":
            self._head = self._start(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            body = b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if more else b"0\r\n\r\n"
        head, self._head = self._head, b""
        if head or body:
            self._connection.write(head + body)
        if not more:
            self._complete = True
            self._connection.answered(keep_alive=self.keep_alive)

    def _start(self, message: MutableMapping[str, Any]) -> bytes:
        self.begun = True
        if self.body and not self.whole:
            # Nobody will ask for it; that the rest is bounded shows only while it is read.
            self.body.clear()
            self._connection.resume_reading()
        status, headers = message["status"], message["headers"]
        names = dict(headers)
        if any(_LINE_END.search(value) for _, value in headers):
            raise ValueError("a header's value has a line end")
        self.keep_alive &= names.get(b"connection", b"").lower() != b"close"
        # Who was not told to go on may send the body or the next request: RFC 9110, 10.1.1.
        self.keep_alive &= self.whole or not self._expects_continue
        lines = [STATUS_LINES[status], self._connection.default_lines()]
        lines += [b"%b: %b\r\n" % header for header in headers if header[0] != b"connection"]
        if (
            b"content-length" not in names
            and self.scope["method"] != "HEAD"
            and status not in _BODILESS
        ):
            # HTTP/1.0 knows no chunks: there the end of the connection ends the body.
            self._chunked = self.scope["http_version"] != "1.0"
            lines += [b"transfer-encoding: chunked\r\n"] if self._chunked else []
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        return b"".join([*lines, b"\r\n"])
