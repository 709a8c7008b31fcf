"""HTTP/1.1 on one connection: a request is read, answered, and only then is the next looked at.

So no answer overtakes another, a refusal waits for its turn, and what a client sends ahead waits
in the kernel.
"""

import asyncio
from typing import Any, Final
from urllib.parse import unquote

import uvicorn
from uvicorn.server import ServerState

from tally.web import head
from tally.web.exchange import STALL_SECONDS, STATUS_LINES, Disconnected, Exchange
from tally.web.fast_path import FastRequest, FastRoutes
from tally.web.framing import BodyReader
from tally.web.head import Head
from tally.web.lingering_close import MAX_SECONDS, MAX_SECONDS_WHEN_STOPPING, Lingering
from tally.web.problem import RETRY_AFTER, Problem
from tally.web.request import BODY_SECONDS, incomplete

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
        self._waiting = b""
        self._looked_at = self._empty_lines = 0
        # No request follows: the client sends no more, or the service stops.
        self._is_last = False
        self._ended = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._linger_seconds = MAX_SECONDS
        self._stalled = False
        self._stall_timer: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle
        self._idle_since: float
        self._defaults: list[tuple[bytes, bytes]] = []
        self._default_lines: bytes

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._idle_since = self._loop.time()
        self._watch_idleness(self._idle_seconds)
        if len(self._state.connections) > self._max_connections:
            self._refuse(Problem(503, "too many connections at once", retry_after=RETRY_AFTER))

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self._read_head(self._waiting + data)
        elif self._body is not None:
            self._read_body(self._body, data)
        else:
            self._waiting += data
            self._pause_reading()

    def eof_received(self) -> bool:
        """Still answer what was asked: a client may close its sending side first."""
        self._ended = self._is_last = True
        if self._exchange is not None:
            self._exchange.ended = True
            if self._body is not None:
                self._fail(self._exchange, incomplete())
            self._exchange.changed.set()
        stays = self._busy and (self._body is None or self._exchange is not None)
        if not stays:
            self._watch_stall()  # the transport closes by itself
        return stays

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        if self._exchange is not None:
            self._exchange.disconnected = True
            self._exchange.changed.set()
        self._writable.set()
        self._idle_timer.cancel()
        for timer in (self._head_timer, self._body_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()
        self._watch_stall()

    def resume_writing(self) -> None:
        self._writable.set()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._transport.is_closing():
            self._watch_stall()

    # What uvicorn calls.

    def shutdown(self) -> None:
        """Let nobody keep a service that stops from doing so."""
        self._linger_seconds = MAX_SECONDS_WHEN_STOPPING
        self._is_last = True
        if not self._busy:
            self._end()
        elif self._exchange is not None:
            self._exchange.keep_alive = False
        elif self._body is not None:
            self._close()

    # What a request calls.

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def writable(self) -> None:
        """Wait until the client has taken enough; raise `Disconnected` if it takes nothing."""
        await self._writable.wait()
        if self._stalled:
            raise Disconnected("the client takes the answer too slowly")

    def default_lines(self) -> bytes:
        """Give what uvicorn adds to every answer, the date, encoded once a second."""
        defaults = self._state.default_headers
        if defaults is not self._defaults:
            self._defaults = defaults
            self._default_lines = b"".join(b"%b: %b\r\n" % header for header in defaults)
        return self._default_lines

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def answer_fast(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer the request on the fast path; nothing is written if the client has gone away."""
        close = self._is_last and not self._waiting
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
        self.answered(keep_alive=not close)

    def cut(self) -> None:
        """Let an answer that is not complete not look so."""
        self._exchange = None
        self._transport.abort()

    def answered(self, *, keep_alive: bool) -> None:
        """Go on with the next request, or close."""
        self._exchange = None
        if self._transport.is_closing():
            return
        if not keep_alive:
            self._close()
        elif self._body is not None:
            # What is left of the body must not be taken for the next request: RFC 9112, 9.3.
            self._body_timer = self._loop.call_later(BODY_SECONDS, self._transport.abort)
        else:
            self._go_on()

    def _go_on(self) -> None:
        self._busy = False
        if self._waiting:
            self._read_head(self._waiting)
        elif self._is_last:
            self._end()
        else:
            self._idle_since = self._loop.time()
            self.resume_reading()

    # Reading.

    def _read_head(self, data: bytes) -> None:
        """Take the request that the data begins with, or wait for more of its head."""
        self._waiting = b""
        if data.startswith(_LINE_END) and not data.startswith(_HEAD_END):
            # RFC 9112, 2.2: an empty line before a request is ignored.
            data = data[len(_LINE_END) :]
            self._empty_lines += 1
            self._looked_at = 0
        end = data.find(_HEAD_END, max(0, self._looked_at - len(_HEAD_END)))
        if self._empty_lines > 1:
            self._refuse(head.invalid("there may be one empty line before a request"))
        elif end >= 0:
            self._looked_at = self._empty_lines = 0
            self._take(data, end + len(_HEAD_END))
        elif head.has_bare_line_feed(data, self._looked_at):
            self._refuse(head.invalid("a line of the request's head does not end in CR LF"))
        elif len(data) > head.MAX_REQUEST_LINE and _LINE_END not in data:
            self._refuse(head.url_too_long())
        elif len(data) > head.MAX_HEAD:
            self._refuse(head.too_large())
        elif self._is_last:
            self._end()
        else:
            self._waiting = data
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._looked_at = len(self._waiting)
        self.resume_reading()
        if self._waiting and self._head_timer is None:
            self._head_timer = self._loop.call_later(HEAD_SECONDS, self._head_too_slow)

    def _head_too_slow(self) -> None:
        detail = "the request's head came too slowly"
        self._refuse(Problem(408, detail, rule="head-timeout"))

    def _take(self, data: bytes, end: int) -> None:
        """Take the request whose head ends there."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        try:
            request = head.read(data[:end])
        except Problem as problem:
            self._refuse(problem)
            return
        if self._go_fast(request, data, end):
            return
        version = "1.0" if request.is_1_0 else "1.1"
        exchange = Exchange(
            self,
            self._scope(request.method, request.target, version, request.fields),
            keep_alive=request.keep_alive,
            expects_continue=request.expects_continue,
        )
        self._body = BodyReader(request.length)
        self._start(exchange)
        self._read_body(self._body, data[end:])

    def _go_fast(self, request: Head, data: bytes, end: int) -> bool:
        """Offer a plain request that is all there, and alone, to the fast path."""
        route = self._fast_routes.get((request.method, request.target))
        if (
            route is None
            or request.length != len(data) - end
            or not request.keep_alive
            or request.expects_continue
            or len(request.by_name) < len(request.fields)
            # The fast path can't wait for a client that reads none of its answers.
            or not self._writable.is_set()
        ):
            return False
        self._busy = True  # the handler may answer at once
        return route.handle(FastRequest(self, route, request.by_name, data[end:]))

    def _read_body(self, reader: BodyReader, data: bytes) -> None:
        """Give the exchange what of its body is there, and keep what comes after it."""
        exchange = self._exchange
        try:
            part = reader.read(data)
        except Problem as problem:
            if exchange is None:
                self._close()
            else:
                self._fail(exchange, problem)
                self._pause_reading()
            return
        if reader.whole:
            self._waiting = reader.rest
            self._body = None
        if exchange is not None:
            self._give(exchange, part, whole=reader.whole)
        elif reader.whole:
            if self._body_timer is not None:
                self._body_timer.cancel()
            self._go_on()

    def _give(self, exchange: Exchange, part: bytes, *, whole: bool) -> None:
        if not exchange.begun:
            exchange.body += part
        exchange.whole = whole
        if self._waiting or len(exchange.body) > _HIGH_WATER:
            self._pause_reading()
        elif not whole:
            self.resume_reading()  # its head may have come while the request before was answered
        exchange.changed.set()

    def _pause_reading(self) -> None:
        self._transport.pause_reading()

    def _fail(self, exchange: Exchange, problem: Problem) -> None:
        """Answer that the body can't be read; if an answer has begun it ends as it would."""
        exchange.failure = problem
        exchange.keep_alive = False
        exchange.changed.set()

    # Answering.

    def _scope(
        self, method: bytes, target: bytes, version: str, fields: list[tuple[bytes, bytes]]
    ) -> dict[str, Any]:
        path, _, query = target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": version,
            "method": method.decode("ascii"),
            "scheme": "http",
            "root_path": "",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "headers": fields,
            "client": self._transport.get_extra_info("peername"),
            "server": self._transport.get_extra_info("sockname"),
        }

    def _refuse(self, problem: Problem) -> None:
        """Answer a head that can't be served, as every other error is answered, and close."""
        self._pause_reading()
        scope = self._scope(b"-", b"/", "1.1", []) | {"refusal": problem}
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
        if self._ended or not (self._body or self._waiting or not self._transport.is_reading()):
            self._end()
            return
        Lingering(self._transport, self._state.connections, self._linger_seconds)
        self.connection_lost(None)

    def _end(self) -> None:
        """Close once the client has taken what was written, or takes nothing of it."""
        self._transport.close()
        self._watch_stall()

    def _watch_stall(self) -> None:
        """Cut the client off if it does not go on to take its answer."""
        if self._stall_timer is None:
            self._stall_timer = self._loop.call_later(STALL_SECONDS, self._stall)

    def _stall(self) -> None:
        self._stalled = True
        self._transport.abort()

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
            self._end()
