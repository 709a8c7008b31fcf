"""Reset: clears the values, and gives them back. Its role can't add."""

from starlette.requests import Request
from starlette.responses import Response

from tally import representation
from tally.ledger.database import Database
from tally.ledger.reader import Reader
from tally.ledger.resets import MAX_LISTED, Resets
from tally.services.reset_page import PATH, ResetPage
from tally.services.service import Service
from tally.settings import Settings
from tally.web.auth import Access
from tally.web.hosts import Hosts
from tally.web.request import read_body, read_key, read_page, require_nothing
from tally.web.response import JSONResponse


class Resetter(Service):
    """The page with its forms, and resets as resources."""

    name = "reset"

    def __init__(self, database: Database, settings: Settings) -> None:
        self._access = Access("Tally: reset", settings.reset_token, Hosts(settings.hosts))
        self._resets = Resets(database)
        page = ResetPage(self._resets, Reader(database).total, self._access)
        super().__init__(
            database,
            {
                PATH: {"GET": page.get, "POST": page.post},
                f"{PATH}/resets": {"GET": self._past, "POST": self._reset},
                f"{PATH}/resets/{{id:id}}": {"DELETE": self._undo},
            },
        )

    async def _reset(self, request: Request) -> Response:
        await self._access.authorize(request.headers)
        key = read_key(request.headers)
        require_nothing(request.headers, await read_body(request))
        made, replayed = await self._resets.reset(key)
        headers = {"Idempotency-Replayed": "true"} if replayed else None
        answer = representation.in_json(representation.reset(made))
        del answer["undone_at"]  # just made, so it can't have been
        return JSONResponse(answer, 201, headers)

    async def _undo(self, request: Request) -> Response:
        await self._access.authorize(request.headers)
        undone = await self._resets.undo(request.path_params["id"])
        return JSONResponse(representation.in_json(representation.reset(undone)))

    async def _past(self, request: Request) -> Response:
        before, limit = read_page(request.scope["query_string"], most=MAX_LISTED, usual=MAX_LISTED)
        past = await self._resets.past(before, limit)
        return JSONResponse(
            {"resets": [representation.in_json(representation.reset(made)) for made in past]}
        )
