"""A fast path beside ASGI for the plainest requests, inside uvicorn's protocol.

ASGI costs a task, a scope, several coroutines and two writes a request, which is most of what a
small request costs. The fast path answers from the parser's callbacks with a single write. It
takes only a request that arrived whole, alone on its connection and in its plainest form; every
other is replayed to uvicorn as if there were no fast path.

A handler must be sure that no rule would refuse its request. To be sure in little time, two rules
are written twice: `read_plain` beside `read_values`, and `plainly_allowed` beside the rules of
auth. Tests hold each to its careful twin.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableSequence
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

# A status, header lines that each end in CR LF, and a body.
Answer = tuple[int, bytes, bytes]
# Returns whether it will reply, exactly once; a handler that returns False has changed nothing.
Handler = Callable[["FastRequest"], bool]

JSON_LINES: Final = b"content-type: application/json\r\n"

# Takes the trailers of a chunked body, which nobody reads, and keeps none.
_UNREAD: Final[deque[tuple[bytes, bytes]]] = deque(maxlen=0)
# uvicorn sets this when a connection is lost, to wake the application; here nothing waits.
_NOBODY_WAITS: Final = asyncio.Event()


class FastRoute(NamedTuple):
    """A resource on the fast path: its handler, and what writes and records each answer."""

    handle: Handler
    finish: Callable[["FastRequest", Answer | Exception], None]


# By method and URL, as they are sent.
FastRoutes = Mapping[tuple[bytes, bytes], FastRoute]


class FastRequest:
    """A request on the fast path; to uvicorn's protocol it looks like one of its own cycles.

    `headers` are by lower-case name; `body` is whole.
    """

    __slots__ = (
        "body",
        "disconnected",
        "headers",
        "keep_alive",
        "protocol",
        "response_complete",
        "route",
        "started",
    )

    message_event = _NOBODY_WAITS

    def __init__(
        self,
        protocol: "FastPathProtocol",
        route: FastRoute,
        headers: dict[bytes, bytes],
        body: bytes,
    ) -> None:
        self.protocol = protocol
        self.route = route
        self.headers = headers
        self.body = body
        self.started = time.perf_counter()
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False

    def reply(self, outcome: Answer | Exception) -> None:
        """Answer, or refuse for the reason that the error says."""
        self.route.finish(self, outcome)

    def write(self, status: int, headers: bytes, body: bytes) -> None:
        """Write the answer at once, unless the client has gone away."""
        self.response_complete = True
        protocol = self.protocol
        if protocol.transport.is_closing():
            return
        if protocol.server_state.default_headers is not protocol.defaults:
            protocol.encode_defaults()
        protocol.transport.write(
            b"%b%bcontent-length: %d\r\n%b%b\r\n%b"
            % (
                STATUS_LINE[status],
                protocol.default_lines,
                len(body),
                headers,
                b"" if self.keep_alive else b"connection: close\r\n",
                body,
            )
        )
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


class FastPathProtocol(HttpToolsProtocol):
    """Offers each request that arrives whole to the fast path before uvicorn sees it."""

    def __init__(self, *args: Any, fast_routes: FastRoutes, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._fast_routes = fast_routes
        # Whether a request has begun and is not all there.
        self._arriving = False
        self._route: FastRoute | None = None
        self._url = b""
        self._head: MutableSequence[tuple[bytes, bytes]] = []
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        self.defaults: list[tuple[bytes, bytes]] = []
        self.default_lines = b""

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not all there leaves the fast path."""
        super().data_received(data)
        if self._route is not None:
            self._route = None
            if not self.transport.is_closing():
                self._replay()

    def on_message_begin(self) -> None:
        """Keep the head until it is known who gets it."""
        self._arriving = True
        self._url = self._body = b""
        self._head = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose a way."""
        self._route = self._fast_routes.get((self.parser.get_method(), self._url))
        if self._route is None or not self._is_plain():
            self._route = None
            self._replay()
            self._head = _UNREAD

    def on_body(self, body: bytes) -> None:
        if self._route is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """Offer the request to its handler."""
        self._arriving = False
        route = self._route
        if route is not None:
            self._route = None
            request = FastRequest(self, route, self._headers, self._body)
            earlier, self.cycle = self.cycle, request  # type: ignore[assignment]
            if route.handle(request):
                return
            self.cycle = earlier
            self._replay()
        super().on_message_complete()

    def encode_defaults(self) -> None:
        """Encode what uvicorn adds to every answer, the date, once a second."""
        self.defaults = self.server_state.default_headers
        self.default_lines = b"".join(b"%b: %b\r\n" % header for header in self.defaults)

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
