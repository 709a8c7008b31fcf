"""The display: shows the values and their sum. Its role can only read."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tally import pages, representation
from tally.ledger.database import Database
from tally.ledger.export import export
from tally.ledger.reader import Overview, Reader, SingleFlight
from tally.pages.chart import Point
from tally.services.events import Events
from tally.services.home import home
from tally.services.service import JSONResponse, PageResponse, Service
from tally.settings import Settings
from tally.web.middleware import Answer, Taker
from tally.web.problem import RETRY_AFTER, Problem
from tally.web.request import read_page

PATH: Final = "/display_service"
STATIC: Final = f"{PATH}/static/"
_JSON_LINES: Final = b"content-type: application/json\r\n"
MAX_LIMIT: Final = 1000
USUAL_LIMIT: Final = 50

# Each export holds a connection and a snapshot, which keeps dead rows from being vacuumed.
_MAX_EXPORTS: Final = 4
# A client that takes nothing for so many seconds has its export ended.
_STALL_SECONDS: Final = 30.0


class Display:
    """The display's endpoints."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Show this database."""
        self._database = database
        self._reader = Reader(database)
        self._total_json = SingleFlight(self._read_total_json)
        self._page_html = SingleFlight(self._read_page)
        self.events = Events(self._reader.total, max_viewers=settings.max_viewers)
        self._exports = 0

    def service(self) -> Service:
        """Describe the service."""
        return Service(
            "display",
            self._database,
            {
                "/": {"GET": home(self._reader.total)},
                PATH: {"GET": self._page},
                f"{PATH}/total": {"GET": self._total},
                f"{PATH}/entries": {"GET": self._entries},
                f"{PATH}/entries.csv": {"GET": self._raw(self._export)},
                f"{PATH}/events": {"GET": self._raw(self.events.stream)},
            },
            self.events.start,
            self._stop,
        )

    def lanes(self) -> dict[tuple[str, str], Taker]:
        """What need not go through ASGI at all."""
        return {("GET", f"{PATH}/total"): self._take_total}

    def _take_total(
        self,
        headers: dict[bytes, bytes],
        body: bytes,
        finish: Callable[[Answer | Exception], None],
    ) -> bool:
        def read(outcome: bytes | Exception) -> None:
            if isinstance(outcome, Exception):
                finish(outcome)
            else:
                finish((200, _JSON_LINES, outcome))

        self._total_json.submit(read)
        return True

    async def _stop(self) -> None:
        await self.events.stop()
        await self._database.close()

    async def _read_total_json(self) -> bytes:
        return msgspec.json.encode(representation.total(await self._reader.total()))

    async def _total(self, request: Request) -> Response:
        return Response(await self._total_json(), media_type="application/json")

    async def _page(self, request: Request) -> Response:
        return PageResponse(await self._page_html())

    async def _read_page(self) -> bytes:
        overview = await self._reader.overview()
        return pages.render(
            "display",
            static=STATIC,
            total=representation.total(overview.total),
            entries=[representation.entry(entry) for entry in overview.newest],
            points=_points(overview),
            behind=overview.total.behind,
        )

    async def _entries(self, request: Request) -> Response:
        before, limit = read_page(request.scope["query_string"], most=MAX_LIMIT, usual=USUAL_LIMIT)
        entries = await self._reader.entries(before, limit)
        return JSONResponse(
            {"entries": [representation.in_json(representation.entry(entry)) for entry in entries]}
        )

    @staticmethod
    def _raw(app: ASGIApp) -> "_Endpoint":
        return _Endpoint(app)

    async def _export(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._exports >= _MAX_EXPORTS:
            raise Problem(503, "too many exports at once", retry_after=RETRY_AFTER)
        await self._reader.total()  # or raise Unavailable while a plain answer can still be given
        headers = [
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"content-disposition", b'attachment; filename="tally.csv"'),
        ]

        async def write(data: bytes) -> None:
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            except TimeoutError:
                raise Problem(408, "the client takes the export too slowly") from None

        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] != "HEAD":
            self._exports += 1
            try:
                await export(self._database, "csv", write)
            finally:
                self._exports -= 1
        await send({"type": "http.response.body", "body": b""})


class _Raw(Response):
    """Hands the connection to an ASGI application that writes its own answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._stream = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._stream(scope, receive, send)


class _Endpoint:
    """An endpoint that streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._answer = _Raw(app)

    async def __call__(self, request: Request) -> Response:
        return self._answer


def _points(overview: Overview) -> list[Point]:
    """The history, and the total now: a reset or an undo moves it without an entry."""
    points = [Point(entry.added_at, entry.id, entry.sum_after) for entry in overview.history]
    if points:
        points.append(Point(overview.at, overview.total.last_id, overview.total.sum))
    return points
