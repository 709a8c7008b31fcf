"""The display: shows the values and their sum. Its role can only read."""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from tally import representation
from tally.ledger.database import Database
from tally.ledger.export import export
from tally.ledger.reader import NO_RANGE, Range, Reader, Total
from tally.services.display_page import PATH, DisplayPage
from tally.services.events import STREAM_SECONDS, Events
from tally.services.home import home
from tally.services.service import Service
from tally.services.times import RANGE, read_range
from tally.settings import Settings
from tally.web.fast_path import JSON_LINES, FastRequest
from tally.web.problem import RETRY_AFTER, Problem
from tally.web.request import read_number, read_page, read_query
from tally.web.response import JSONResponse, Stream, Write

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


class Display(Service):
    """Home and its own page, the total, entries, changes and history, CSV, and live totals."""

    name = "display"

    def __init__(self, database: Database, settings: Settings) -> None:
        self._reader = Reader(database)
        self._events = Events(self._reader.total, max_viewers=settings.max_viewers)
        self._exports = 0
        super().__init__(
            database,
            {
                "/": {"GET": home(self._reader.total)},
                PATH: {"GET": DisplayPage(self._reader).get},
                TOTAL: {"GET": self._total},
                f"{PATH}/entries": {"GET": self._entries},
                f"{PATH}/changes": {"GET": self._changes},
                f"{PATH}/history": {"GET": self._history},
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

    async def _entries(self, request: Request) -> Response:
        names = ("before", "after", "limit", *RANGE)
        parameters = read_query(request.scope["query_string"], names)
        page = await self._reader.page(
            read_number(parameters, "before"),
            read_number(parameters, "limit", MAX_LIMIT) or USUAL_LIMIT,
            read_number(parameters, "after"),
            read_range(parameters),
        )
        return JSONResponse(representation.page(page))

    async def _changes(self, request: Request) -> Response:
        before, limit = read_page(request.scope["query_string"], most=MAX_LIMIT, usual=USUAL_LIMIT)
        total, rows = await self._reader.changes(before, limit)
        return JSONResponse(representation.changes(rows, total))

    async def _history(self, request: Request) -> Response:
        wanted = read_range(read_query(request.scope["query_string"], RANGE))
        return JSONResponse(representation.history(*await self._reader.history(wanted)))

    async def _export(self, request: Request) -> Response:
        wanted = read_range(read_query(request.scope["query_string"], RANGE))

        def begin(behind: float | None) -> None:
            if behind is not None:
                stream.headers["tally-behind-seconds"] = str(round(behind, 3))

        async def send(write: Write, receive: Receive) -> None:
            await self._write_csv(wanted, write, begin)

        stream = Stream(send, _EXPORT_HEADERS)
        return stream

    async def _write_csv(
        self, wanted: Range, write: Write, begin: Callable[[float | None], None]
    ) -> None:
        if self._exports >= MAX_EXPORTS:
            raise Problem(503, "too many exports at once", retry_after=RETRY_AFTER)
        self._exports += 1
        try:
            async with asyncio.timeout(EXPORT_SECONDS):
                await self._reader.total()  # waits while the database is away
                bounds = None if wanted == NO_RANGE else await self._reader.bounds(wanted)
                await export(self.database, "csv", write, begin, bounds)
        except TimeoutError:
            raise Problem(408, "the client takes the export too slowly") from None
        finally:
            self._exports -= 1
