"""The display: shows the values and their sum. Its role can only read."""

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from tally import pages, representation
from tally.ledger.database import Database, Unavailable
from tally.ledger.export import export
from tally.ledger.reader import Overview, Reader, Total
from tally.ledger.single_flight import SingleFlight
from tally.pages.chart import Point
from tally.services.events import STREAM_SECONDS, Events
from tally.services.home import home
from tally.services.service import Service, path_of, static_of
from tally.settings import Settings
from tally.web.fast_path import JSON_LINES, FastRequest
from tally.web.problem import RETRY_AFTER, Problem
from tally.web.request import read_page
from tally.web.response import JSONResponse, PageResponse, Stream, Write

PATH: Final = path_of("display")
TOTAL: Final = f"{PATH}/total"
MAX_LIMIT: Final = 1000
USUAL_LIMIT: Final = 50

# Each export holds a connection, at most for as long as an event stream.
MAX_EXPORTS: Final = 4
EXPORT_SECONDS: Final = STREAM_SECONDS
_EXPORT_HEADERS: Final = {
    "content-type": "text/csv; charset=utf-8",
    "content-disposition": 'attachment; filename="tally.csv"',
}
# The page while the database is away.
_UNKNOWN: Final[dict[str, Any]] = {"total": None, "entries": (), "points": (), "behind": None}


class Display(Service):
    """Home and its own page, the total, entries, their export, and live totals."""

    name = "display"

    def __init__(self, database: Database, settings: Settings) -> None:
        self._reader = Reader(database)
        self._page_html = SingleFlight(self._read_page)
        self._events = Events(self._reader.total, max_viewers=settings.max_viewers)
        self._exports = 0
        super().__init__(
            database,
            {
                "/": {"GET": home(self._reader.total)},
                PATH: {"GET": self._page},
                TOTAL: {"GET": self._total},
                f"{PATH}/entries": {"GET": self._entries},
                f"{PATH}/entries.csv": {"GET": self._export},
                f"{PATH}/events": {"GET": self._events.stream},
            },
        )
        self.fast["GET", TOTAL] = self._total_plain

    async def start(self) -> None:
        self._events.start()

    def stopping(self) -> None:
        self._events.end_streams()

    async def stop(self) -> None:
        await self._events.stop()
        await super().stop()

    def _total_plain(self, request: FastRequest) -> bool:
        def finish(outcome: Total | Exception) -> None:
            if isinstance(outcome, Total):
                request.reply((200, JSON_LINES, representation.total_json(outcome)))
            else:
                request.reply(outcome)

        self._reader.total.submit(finish)
        return True

    async def _total(self, request: Request) -> Response:
        body = representation.total_json(await self._reader.total())
        return Response(body, media_type="application/json")

    async def _page(self, request: Request) -> Response:
        try:
            return PageResponse(await self._page_html())
        except Unavailable:
            # Its script fills it as soon as it can.
            return PageResponse.unavailable(
                pages.render("display", static=static_of("display"), **_UNKNOWN)
            )

    async def _read_page(self) -> bytes:
        overview = await self._reader.overview()
        return pages.render(
            "display",
            static=static_of("display"),
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

    async def _export(self, request: Request) -> Response:
        return Stream(self._write_csv, _EXPORT_HEADERS)

    async def _write_csv(self, write: Write, receive: Receive) -> None:
        if self._exports >= MAX_EXPORTS:
            raise Problem(503, "too many exports at once", retry_after=RETRY_AFTER)
        self._exports += 1
        try:
            async with asyncio.timeout(EXPORT_SECONDS):
                await self._reader.total()  # waits while the database is away
                await export(self.database, "csv", write)
        except TimeoutError:
            raise Problem(408, "the client takes the export too slowly") from None
        finally:
            self._exports -= 1


def _points(overview: Overview) -> list[Point]:
    """The history, and the total now: a reset or an undo moves it without an entry."""
    points = [Point(entry.added_at, entry.id, entry.sum_after) for entry in overview.history]
    if points:
        points.append(Point(overview.at, overview.total.last_id, overview.total.sum))
    return points
