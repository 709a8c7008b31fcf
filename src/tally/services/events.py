"""Live totals for many viewers at the price of one: one read serves all of them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from tally import representation
from tally.ledger.database import Unavailable
from tally.ledger.reader import Total
from tally.web import metrics
from tally.web.problem import RETRY_AFTER, Problem
from tally.web.response import Stream, Write

# Seconds. A change is seen within one look; the total is sent at most four times a second.
LOOK_EVERY: Final = 0.1
SEND_EVERY: Final = 0.25
# At the latest so long after what was sent before, a heartbeat says that nothing has changed:
# pages know by it that a stream lives. 10,000 viewers cost 2,000 writes a second.
HEARTBEAT_EVERY: Final = 5.0
# A stream ends after an hour, so that none is held for ever; browsers open the next by themselves.
STREAM_SECONDS: Final = 3600.0

_log = logging.getLogger(__name__)

_TOTAL: Final = b"event: total\ndata: %b\n\n"
_UNAVAILABLE: Final = b"event: unavailable\ndata: {}\n\n"
# Browsers hide comments, and events without data, from pages (WHATWG HTML, 9.2.6).
_HEARTBEAT: Final = b"event: heartbeat\ndata: %b\n\n"
_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    # Proxies such as nginx would otherwise hold events back.
    "x-accel-buffering": "no",
}


class _Viewer:
    """One open stream: what to send it next, and when it ends.

    `refused` is why what the client sends can't be read.
    """

    __slots__ = ("ends_at", "fresh", "gone", "message", "ready", "refused")

    def __init__(self, now: float) -> None:
        self.ready = asyncio.Event()
        self.message = b""
        self.fresh = True
        self.gone = False
        self.refused: Problem | None = None
        self.ends_at = now + STREAM_SECONDS

    def send(self, message: bytes) -> None:
        """Replace what waits: a slow viewer skips to the newest total."""
        self.message = message
        self.fresh = False
        self.ready.set()

    def leave(self) -> None:
        self.gone = True
        self.ready.set()


class Events:
    """The display's event streams."""

    def __init__(self, read: Callable[[], Awaitable[Total]], *, max_viewers: int) -> None:
        """`read` gets the total as of now; raises `Unavailable`."""
        self._read = read
        self._max_viewers = max_viewers
        self._viewers: set[_Viewer] = set()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to look for changes whenever somebody watches."""
        self._task = asyncio.create_task(self._look())
        self._task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """End the streams if looking fails, rather than leave viewers with an old total."""
        if not task.cancelled() and task.exception() is not None:
            _log.error("live totals ended by an internal error", exc_info=task.exception())
            self.end_streams()

    def end_streams(self) -> None:
        """End every stream at once and open no more."""
        self._stopping = True
        for viewer in self._viewers:
            viewer.leave()

    async def stop(self) -> None:
        self.end_streams()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def stream(self, request: Request) -> Response:
        """Answer one viewer, until it leaves."""
        return Stream(self._show, _HEADERS)

    async def _show(self, write: Write, receive: Receive) -> None:
        if self._stopping or len(self._viewers) >= self._max_viewers:
            raise Problem(503, "too many viewers at once", retry_after=RETRY_AFTER)
        viewer = _Viewer(time.monotonic())
        self._viewers.add(viewer)
        leaving = asyncio.create_task(_wait_until_gone(receive, viewer))
        self._wanted.set()
        metrics.viewers.inc()
        try:
            await self._read()  # or raise Unavailable while a plain answer can still be given
            while not viewer.gone:
                await viewer.ready.wait()
                viewer.ready.clear()
                if viewer.message:
                    message, viewer.message = viewer.message, b""
                    await write(message)
            if viewer.refused is not None:
                raise viewer.refused
        finally:
            viewer.refused = None  # its traceback holds the viewer
            self._viewers.discard(viewer)
            metrics.viewers.dec()
            leaving.cancel()

    async def _look(self) -> None:
        shown: object = None
        shown_at = sent_at = 0.0
        while True:
            if not self._viewers:
                self._wanted.clear()
                await self._wanted.wait()
            # Whoever asks meanwhile is sent the next one: no event is older than it says, not even
            # by the time since it was asked for.
            viewers = list(self._viewers)
            state, message, beat = await self._read_event()
            now = time.monotonic()
            if state != shown and now - shown_at >= SEND_EVERY:
                shown, shown_at, sent_at = state, now, now
                for viewer in viewers:
                    viewer.send(message)
            for viewer in viewers:
                if viewer.fresh:
                    viewer.send(message)
                if viewer.ends_at <= now:
                    viewer.leave()
            if now - sent_at >= HEARTBEAT_EVERY:
                sent_at = now
                for viewer in viewers:
                    viewer.send(viewer.message or beat)
            await asyncio.sleep(LOOK_EVERY)

    async def _read_event(self) -> tuple[object, bytes, bytes]:
        """Read what of the total is news, what to send of it, and what where nothing is.

        The age of a standby's total is no news.
        """
        try:
            total = await self._read()
        except Unavailable:
            return _UNAVAILABLE, _UNAVAILABLE, _HEARTBEAT % b"{}"
        beat = _HEARTBEAT % representation.encode(representation.age(total.behind))
        return replace(total, behind=None), _TOTAL % representation.total_json(total), beat


async def _wait_until_gone(receive: Receive, viewer: _Viewer) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except Problem as problem:
        viewer.refused = problem
    viewer.leave()
