"""The adder: takes values in."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tally import representation
from tally.ledger.add import Added, Key, QueueFull
from tally.ledger.corrections import Corrections
from tally.ledger.database import Database, Unavailable
from tally.ledger.writer import Writer
from tally.services.adder_page import PATH, AdderPage
from tally.services.service import Service
from tally.services.values import read_plain, read_values
from tally.settings import Settings
from tally.web import metrics
from tally.web.auth import Access
from tally.web.fast_path import JSON_LINES, FastRequest
from tally.web.hosts import Hosts
from tally.web.request import is_key, read_body, read_key, require_content_type, require_nothing
from tally.web.response import JSONResponse

ENTRIES: Final = f"{PATH}/entries"

_REPLAYED_LINES: Final = JSON_LINES + b"idempotency-replayed: true\r\n"
# A stopping service has answered all that waits long before; what is left has no client any more.
_CLOSE_SECONDS: Final = 1.0


class Adder(Service):
    """The form, and `POST /adder_service/entries` on its two ways."""

    name = "adder"

    def __init__(self, database: Database, settings: Settings) -> None:
        self._access = Access("Tally: add", settings.add_token, Hosts(settings.hosts))
        self._corrections = Corrections(database)
        self._writer = Writer(
            database,
            queue_limit=settings.queue_limit,
            on_commit=metrics.observe_commit,
        )
        page = AdderPage(database, self._writer, self._corrections, self._access)
        super().__init__(
            database,
            {
                PATH: {"GET": page.get, "POST": page.post},
                ENTRIES: {"POST": self._add},
                f"{ENTRIES}/{{id:id}}/undo": {"POST": self._undo},
            },
        )
        self.fast["POST", ENTRIES] = self._add_plain
        metrics.queued_values.set_function(lambda: self._writer.queued_values)

    async def start(self) -> None:
        self._writer.start()

    async def stop(self) -> None:
        await self._writer.close(_CLOSE_SECONDS)
        await super().stop()

    def _add_plain(self, request: FastRequest) -> bool:
        headers = request.headers
        value = read_plain(request.body)
        given_key = headers.get(b"idempotency-key")
        if (
            value is None
            or headers.get(b"content-type") != b"application/json"
            or b"content-encoding" in headers
            or not self._access.plainly_allows(headers)
            or not (given_key is None or is_key(given_key.decode("latin-1")))
        ):
            return False

        def finish(outcome: Added | Exception) -> None:
            if isinstance(outcome, Added):
                lines = _REPLAYED_LINES if outcome.replayed else JSON_LINES
                body = representation.encode(representation.added(outcome, value))
                request.reply((201, lines, body))
            else:
                request.reply(outcome)

        values = (value,)
        key = None
        if given_key is not None:
            key = Key.of(given_key.decode("ascii"), values, batch=False)
        try:
            self._writer.submit(values, key, finish)
        except (QueueFull, Unavailable) as error:
            request.reply(error)
        return True

    async def _add(self, request: Request) -> Response:
        await self._access.authorize(request.headers)
        require_content_type(request.headers, "application/json")
        key = read_key(request.headers)
        given = read_values(await read_body(request))
        added = await self._writer.add(
            given.values,
            None if key is None else Key.of(key, given.values, batch=given.batch),
        )
        return JSONResponse(
            representation.added(added, None if given.batch else given.values[0]),
            201,
            {"Idempotency-Replayed": "true"} if added.replayed else None,
        )

    async def _undo(self, request: Request) -> Response:
        await self._access.authorize(request.headers)
        require_nothing(request.headers, await read_body(request))
        undone = await self._corrections.undo(request.path_params["id"])
        return JSONResponse(
            representation.undone(undone),
            200 if undone.replayed else 201,
            {"Idempotency-Replayed": "true"} if undone.replayed else None,
        )
