"""A fast lane beside ASGI for the plainest requests, inside uvicorn's protocol.

ASGI costs a task, a scope, several coroutines and two writes a request, which is most of what a
small request costs. A lane answers from the parser's callbacks with a single write. It takes only
a request that arrived whole, alone on its connection and in its plainest form; every other is
replayed to uvicorn as if the lane did not exist, so no rule needs to be written twice.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, MutableSequence
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

# Takes a status, header lines that each end in CR LF, and a body.
Reply = Callable[[int, bytes, bytes], None]
# Gets headers by lower-case name and the whole body. Returns whether it will reply, exactly once;
# a lane that returns False has changed nothing.
Lane = Callable[[dict[bytes, bytes], bytes, Reply], bool]
# By method and URL, as they are sent.
Lanes = Mapping[tuple[bytes, bytes], Lane]

# Takes the trailers of a chunked body, which nobody reads, and keeps none.
_UNREAD: Final[deque[tuple[bytes, bytes]]] = deque(maxlen=0)
# uvicorn sets this when a connection is lost, to wake the application; a lane needs no waking.
_NOBODY_WAITS: Final = asyncio.Event()


class _Turn:
    """A request in a lane; to uvicorn's protocol it looks like one of its own cycles."""

    __slots__ = ("disconnected", "keep_alive", "protocol", "response_complete")

    message_event = _NOBODY_WAITS

    def __init__(self, protocol: "LaneProtocol") -> None:
        self.protocol = protocol
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        self.response_complete = True
        if not self.disconnected:
            self.protocol.write_answer(status, headers, body, keep_alive=self.keep_alive)


class LaneProtocol(HttpToolsProtocol):
    """Offers each request that arrives whole to a lane before uvicorn sees it."""

    def __init__(self, *args: Any, lanes: Lanes, **kwargs: Any) -> None:  # noqa: ANN401
        """Take what uvicorn gives, and the lanes."""
        super().__init__(*args, **kwargs)
        self._lanes = lanes
        # Whether a request has begun and is not all there.
        self._arriving = False
        self._lane: Lane | None = None
        self._url = b""
        self._head: MutableSequence[tuple[bytes, bytes]] = []
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        self._defaults: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not all there is not for a lane."""
        super().data_received(data)
        if self._lane is not None:
            self._lane = None
            if not self.transport.is_closing():
                self._replay()

    def on_message_begin(self) -> None:
        """Keep the head until it is known who gets it."""
        self._arriving = True
        self._url = self._body = b""
        self._head = []

    def on_url(self, url: bytes) -> None:
        """Keep the URL."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._head.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the lane, or none."""
        self._lane = self._lanes.get((self.parser.get_method(), self._url))
        if self._lane is None or not self._is_plain():
            self._lane = None
            self._replay()
            self._head = _UNREAD

    def on_body(self, body: bytes) -> None:
        """Keep the body for the lane."""
        if self._lane is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """Offer the request to its lane."""
        self._arriving = False
        lane = self._lane
        if lane is not None:
            self._lane = None
            turn = _Turn(self)
            earlier, self.cycle = self.cycle, turn  # type: ignore[assignment]
            if lane(self._headers, self._body, turn.reply):
                return
            self.cycle = earlier
            self._replay()
        super().on_message_complete()

    def write_answer(self, status: int, headers: bytes, body: bytes, *, keep_alive: bool) -> None:
        """Write an answer at once."""
        if self.transport.is_closing():
            return
        if self.server_state.default_headers is not self._defaults:
            self._defaults = self.server_state.default_headers
            self._default_lines = b"".join(b"%b: %b\r\n" % header for header in self._defaults)
        self.transport.write(
            b"%b%bcontent-length: %d\r\n%b%b\r\n%b"
            % (
                STATUS_LINE[status],
                self._default_lines,
                len(body),
                headers,
                b"" if keep_alive else b"connection: close\r\n",
                body,
            )
        )
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _is_plain(self) -> bool:
        """Tell whether nothing about the request and its connection needs uvicorn's care."""
        self._headers = headers = {name.lower(): value for name, value in self._head}
        return (
            len(headers) == len(self._head)
            and not (b"expect" in headers or b"transfer-encoding" in headers)
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self.parser.should_keep_alive()
            # Without this header a connection that is kept alive is HTTP/1.1, and not upgraded.
            and (b"connection" not in headers or self._keeps_http_1_1())
        )

    def _keeps_http_1_1(self) -> bool:
        return self.parser.get_http_version() == "1.1" and not self.parser.should_upgrade()

    def _replay(self) -> None:
        """Give uvicorn what was kept."""
        super().on_message_begin()
        super().on_url(self._url)
        for name, value in self._head:
            super().on_header(name, value)
        super().on_headers_complete()
        if self._body:
            super().on_body(self._body)
