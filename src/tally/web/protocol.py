"""HTTP/1.1 on one connection: a request is read, answered, and only then is the next looked at.

So no answer overtakes another, a refusal waits for its turn, and what a client sends ahead waits
in the kernel. h11 finds where a request ends; `head` says what its head must be.
"""

import asyncio
from typing import Any, Final
from urllib.parse import unquote

import h11
import uvicorn
from uvicorn.server import ServerState

from tally.web import head
from tally.web.exchange import STALL_SECONDS, STATUS_LINES, Exchange
from tally.web.fast_path import FastRequest, FastRoutes
from tally.web.framing import MAX_TRAILERS, BodyReader
from tally.web.lingering_close import MAX_SECONDS, MAX_SECONDS_WHEN_STOPPING, Lingering
from tally.web.plain import read_plain
from tally.web.problem import RETRY_AFTER, Problem
from tally.web.request import incomplete

HEAD_SECONDS: Final = 10.0
# Of a body that the application has not taken, so many bytes wait here and the rest in the kernel.
_HIGH_WATER: Final = 64 * 1024
_LINE_END: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"


class HTTPProtocol(asyncio.Protocol):
    """One connection of uvicorn's server."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        fast_routes: FastRoutes,
        max_connections: int,
    ) -> None:
        """Refuse every connection beyond so many, as the process has a bound for its memory."""
        self._app = config.loaded_app
        self._idle_seconds = config.timeout_keep_alive
        self._state = server_state
        self._fast_routes = fast_routes
        self._max_connections = max_connections
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport
        # At most one request is under way: on the fast path, or as an exchange, whose body has
        # a reader until it is all there.
        self._busy = False
        self._exchange: Exchange | None = None
        self._body: BodyReader | None = None
        # What came after it, or a head that is not all there.
        self._waiting = bytearray()
        self._looked_at = 0
        self._reading = True
        self._ended = False
        self._closed = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._linger_seconds = MAX_SECONDS
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle
        self._idle_since = 0.0
        self._defaults: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._idle_since = self._loop.time()
        self._watch_idleness(self._idle_seconds)
        if len(self._state.connections) > self._max_connections:
            self._refuse(Problem(503, "too many connections at once", retry_after=RETRY_AFTER))

    def data_received(self, data: bytes) -> None:
        if self._busy:
            if self._exchange is not None and self._body is not None:
                self._read_body(self._exchange, self._body, data)
            else:
                self._waiting += data
                self._pause_reading()
        elif self._waiting or not self._take_plain(data):
            self._waiting += data
            self._read_head()

    def eof_received(self) -> bool:
        """Still answer what was asked: a client may close its sending side first."""
        self._ended = True
        if self._exchange is not None:
            self._exchange.ended = True
            if self._body is not None:
                self._fail(self._exchange, incomplete())
            self._exchange.changed.set()
        return self._busy

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._state.connections.discard(self)
        if self._exchange is not None:
            self._exchange.disconnected = True
            self._exchange.changed.set()
        self._writable.set()
        self._idle_timer.cancel()
        if self._head_timer is not None:
            self._head_timer.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What uvicorn calls.

    def shutdown(self) -> None:
        """Let nobody keep a service that stops from doing so."""
        self._linger_seconds = MAX_SECONDS_WHEN_STOPPING
        self._ended = True
        if not self._busy:
            self._transport.close()
        elif self._exchange is not None:
            self._exchange.keep_alive = False

    # What a request calls.

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def writable(self) -> None:
        """Wait until the client has taken enough; raise `Problem` if it takes nothing."""
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._writable.wait()
        except TimeoutError:
            self._transport.abort()
            raise Problem(408, "the client takes the answer too slowly") from None

    def default_lines(self) -> bytes:
        """Give what uvicorn adds to every answer, the date, encoded once a second."""
        defaults = self._state.default_headers
        if defaults is not self._defaults:
            self._defaults = defaults
            self._default_lines = b"".join(b"%b: %b\r\n" % header for header in defaults)
        return self._default_lines

    def resume_reading(self) -> None:
        if not self._reading and not self._closed:
            self._reading = True
            self._transport.resume_reading()

    def answer_fast(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer the request on the fast path, unless the client has gone away."""
        if self._closed or self._transport.is_closing():
            return
        close = self._ended and not self._waiting
        self._transport.write(
            b"%b%bcontent-length: %d\r\n%b%b\r\n%b"
            % (
                STATUS_LINES[status],
                self.default_lines(),
                len(body),
                headers,
                b"connection: close\r\n" if close else b"",
                body,
            )
        )
        self.answered(keep_alive=not close, whole=True)

    def answered(self, *, keep_alive: bool, whole: bool) -> None:
        """Go on with the next request, or close."""
        self._state.total_requests += 1
        self._busy = False
        self._exchange = None
        if self._closed or self._transport.is_closing():
            return
        if not whole:
            # An answer that ends with its connection must not look complete.
            self._transport.abort()
        elif not keep_alive:
            self._close()
        elif self._waiting:
            self._read_head()
        elif self._ended:
            self._transport.close()
        else:
            self._idle_since = self._loop.time()
            self.resume_reading()

    # Reading.

    def _take_plain(self, data: bytes) -> bool:
        plain = read_plain(data)
        if plain is None:
            return False
        if plain.keep_alive and (route := self._fast_routes.get(plain.line)):
            self._busy = True  # the handler may answer at once
            if route.handle(FastRequest(self, route, plain.headers, plain.body)):
                return True
        method, target, _ = plain.line.split(b" ")
        scope = self._scope(method, target, list(plain.headers.items()))
        exchange = Exchange(self, scope, keep_alive=plain.keep_alive, whole=True)
        exchange.body += plain.body
        self._start(exchange)
        return True

    def _read_head(self) -> None:
        waiting = self._waiting
        if waiting.startswith(_LINE_END) and not waiting.startswith(_HEAD_END):
            # RFC 9112, 2.2: an empty line before a request is ignored.
            del waiting[:2]
            if not waiting:
                self.resume_reading()
                return
        end = waiting.find(_HEAD_END, max(0, self._looked_at - 3))
        if head.malformed(waiting, max(0, self._looked_at - 2), len(waiting) if end < 0 else end):
            self._refuse(head.invalid("every line of the head must end in CR LF, and not go on"))
        elif end >= 0:
            self._looked_at = 0
            data = bytes(waiting)
            waiting.clear()
            self._begin(data, end + len(_HEAD_END))
        elif len(waiting) > head.MAX_REQUEST_LINE and _LINE_END not in waiting:
            self._refuse(head.url_too_long())
        elif len(waiting) > head.MAX_HEAD:
            self._refuse(head.too_large())
        else:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._looked_at = len(self._waiting)
        self.resume_reading()
        if self._ended:
            self._transport.close()
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(HEAD_SECONDS, self._head_too_slow)

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if not self._busy:
            detail = "the request's head came too slowly"
            self._refuse(Problem(408, detail, rule="head-timeout"))

    def _begin(self, data: bytes, end: int) -> None:
        """Take the request whose head ends there."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        parser = h11.Connection(h11.SERVER, MAX_TRAILERS)
        parser.receive_data(data[:end])
        try:
            request = head.read(parser)
        except Problem as problem:
            self._refuse(problem)
            return
        exchange = Exchange(
            self,
            self._scope(
                request.method, request.target, list(request.headers), request.http_version
            ),
            keep_alive=head.keeps_alive(request),
            expects_continue=parser.they_are_waiting_for_100_continue,
        )
        self._body = BodyReader(parser)
        self._start(exchange)
        self._read_body(exchange, self._body, data[end:])

    def _read_body(self, exchange: Exchange, reader: BodyReader, data: bytes) -> None:
        """Give the exchange what of its body is there, and keep what comes after it."""
        try:
            part = reader.read(data)
            if not exchange.begun:
                exchange.body += part
        except Problem as problem:
            self._fail(exchange, problem)
        if reader.whole:
            exchange.whole = True
            self._waiting += reader.rest
            self._body = None
        if exchange.failure or self._waiting or len(exchange.body) > _HIGH_WATER:
            self._pause_reading()
        else:
            self.resume_reading()
        exchange.changed.set()

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _fail(self, exchange: Exchange, problem: Problem) -> None:
        """Answer that the body can't be read; if an answer has begun it ends as it would."""
        exchange.failure = problem
        exchange.keep_alive = False
        self._body = None

    # Answering.

    def _scope(
        self,
        method: bytes,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        version: bytes = b"1.1",
    ) -> dict[str, Any]:
        path, _, query = target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.0" if version == b"1.0" else "1.1",
            "method": method.decode("ascii"),
            "scheme": "http",
            "root_path": "",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "client": self._transport.get_extra_info("peername"),
            "server": self._transport.get_extra_info("sockname"),
        }

    def _refuse(self, problem: Problem) -> None:
        """Answer a head that can't be served, as every other error is answered, and close."""
        self._waiting.clear()
        self._pause_reading()
        scope = self._scope(b"-", b"/", []) | {"refusal": problem}
        self._start(Exchange(self, scope, keep_alive=False))

    def _start(self, exchange: Exchange) -> None:
        self._busy = True
        self._exchange = exchange
        task = self._loop.create_task(exchange.run(self._app))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    # Closing.

    def _close(self) -> None:
        """Close so that the client can read its answer even while it still sends."""
        if self._ended or not (self._body or self._waiting or not self._reading):
            self._transport.close()
            return
        Lingering(self._transport, self._state.connections, self._linger_seconds)
        self.connection_lost(None)

    def _watch_idleness(self, seconds: float) -> None:
        self._idle_timer = self._loop.call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close, or look again: one timer outlives many requests, for to set one costs time."""
        left = self._idle_since + self._idle_seconds - self._loop.time()
        if self._busy or self._waiting:
            left = self._idle_seconds
        if left > 0:
            self._watch_idleness(left)
        else:
            self._transport.close()
