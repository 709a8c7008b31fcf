"""uvicorn's HTTP protocol with limits on a request's head, on time and on what nobody reads."""

import asyncio
import uuid
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tally.web import lingering_close
from tally.web.fast_path import FastPathProtocol
from tally.web.problem import Problem, problem_json

MAX_URL: Final = 8 * 1024
MAX_HEAD: Final = 32 * 1024
MAX_HEADERS: Final = 100
HEAD_SECONDS: Final = 10.0

_BAD_REQUEST: Final = Problem(400, "the request is not valid HTTP/1.1", rule="invalid-http")
_TOO_LARGE: Final = Problem(
    431,
    f"the headers may be at most {MAX_HEADERS} and have {MAX_HEAD} bytes",
    rule="headers-too-large",
)


class _HeadRefused(Exception):
    """Stops the parser."""


class LimitedProtocol(FastPathProtocol):
    """Refuses heads that are too large or too slow; closes so that its answers can be read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._received = 0
        self._chunk = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._answered_at = 0.0
        self._refusal = _BAD_REQUEST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head only so long as for the next ones."""
        self._closer = lingering_close.Transport(
            transport, self, self.connections, lambda: self._arriving or bool(self.pipeline)
        )
        super().connection_made(self._closer)  # type: ignore[arg-type]
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """Parse, then bound and time the head if it is not all there yet."""
        self._chunk = len(data)
        if self._in_head:
            self._received += self._chunk
        super().data_received(data)
        if self._in_head:
            if self.transport.is_closing():
                return
            if self._received > MAX_URL + MAX_HEAD:
                # Which of the two is too large does not show before its end.
                self._refusal = _TOO_LARGE
                self.send_400_response("")
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_too_slow)
            return
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._arriving and not self.transport.is_closing():
            self._bound_unread()

    def shutdown(self) -> None:
        """Let nobody keep a service that stops from doing so."""
        self._closer.seconds = lingering_close.MAX_SECONDS_WHEN_STOPPING
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._head_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._received = 0
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._received + self._chunk > MAX_URL or len(self._head) > MAX_HEADERS:
            self._check_sizes()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request.

        One timer outlives many requests: to set one for each costs more than parsing it.
        """
        if self.pipeline:
            super().on_response_complete()
        elif not self.transport.is_closing():
            self.flow.resume_reading()
            self._answered_at = self.loop.time()
            if self._idle_timer is None:
                self._watch_idleness(self.timeout_keep_alive)

    def _bound_unread(self) -> None:
        """Cut off who sends too much of a body that was answered already."""
        if self.cycle.response_complete:
            self._received += self._chunk
            if self._received > lingering_close.MAX_BYTES:
                self._closer.abort()

    def _watch_idleness(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._in_head or not self.cycle.response_complete:
            left = self.timeout_keep_alive
        if left > 0:
            self._watch_idleness(left)
        else:
            self.transport.close()

    def _check_sizes(self) -> None:
        if len(self._url) > MAX_URL:
            self._refuse(
                Problem(414, f"the URL may have at most {MAX_URL} bytes", rule="url-too-long")
            )
        size = 0
        for name, value in self._head:
            size += len(name) + len(value)
        if size > MAX_HEAD or len(self._head) > MAX_HEADERS:
            self._refuse(_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Answer a head that can't be served as every other error is answered."""
        problem = self._refusal
        body = problem_json(problem, uuid.uuid4().hex)
        self.transport.write(
            STATUS_LINE[problem.status]
            + b"content-type: application/problem+json\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        # Where the request ends can't be told any more.
        self._closer.close_lingering()

    def _refuse(self, problem: Problem) -> None:
        self._refusal = problem
        raise _HeadRefused

    def _head_too_slow(self) -> None:
        if not self.transport.is_closing():
            self._refusal = Problem(408, "the request's head came too slowly", rule="head-timeout")
            self.send_400_response("")
