"""Reset: clears the values, and gives them back. Its role can't add."""

import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tally import pages, representation
from tally.ledger.database import Database, Unavailable
from tally.ledger.reader import Reader
from tally.ledger.resets import MAX_LISTED, NotUndoable, Reset, Resets
from tally.ledger.writer import SumOutOfRange
from tally.services.errors import problem_of
from tally.services.service import Service, path_of, static_of, total_or_none
from tally.settings import Settings
from tally.web.auth import Access
from tally.web.hosts import Hosts
from tally.web.problem import Problem, refused
from tally.web.request import (
    FORM,
    is_form,
    is_key,
    read_body,
    read_form,
    read_key,
    read_page,
    require_content_type,
    require_nothing,
)
from tally.web.response import JSONResponse, PageResponse

PATH: Final = path_of("reset")
_SHOWN: Final = 50
_MAX_DIGITS: Final = 19


class Resetter(Service):
    """The page with its forms, and resets as resources."""

    name = "reset"

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(
            database,
            {
                PATH: {"GET": self._page, "POST": self._submit},
                f"{PATH}/resets": {"GET": self._past, "POST": self._reset},
                f"{PATH}/resets/{{id:id}}": {"DELETE": self._undo},
            },
        )
        self._access = Access("Tally: reset", settings.reset_token, Hosts(settings.hosts))
        self._resets = Resets(database)
        self._total = Reader(database).total

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

    async def _page(self, request: Request) -> Response:
        query = request.query_params
        return await self._render(
            confirming="confirm" in query,
            done=await self._named(query.get("done")),
            undone=await self._named(query.get("undone")),
        )

    async def _named(self, number: str | None) -> Reset | None:
        """The reset that an address names, to say again what was done with it."""
        if number is None or not _is_id(number):
            return None
        try:
            return await self._resets.get(int(number))
        except Unavailable:
            return None

    async def _submit(self, request: Request) -> Response:
        try:
            await self._access.authorize(request.headers)
            require_content_type(request.headers, FORM)
            form = read_form(await read_body(request))
            match form:
                case {"action": "reset", "key": key, **rest} if is_key(key) and not rest:
                    made, _ = await self._resets.reset(key)
                    return RedirectResponse(
                        f"{PATH[1:]}?done={made.id}" if made.id else PATH[1:], 303
                    )
                case {"action": "undo", "id": number, **rest} if _is_id(number) and not rest:
                    undone = await self._resets.undo(int(number))
                    return RedirectResponse(f"{PATH[1:]}?undone={undone.id}", 303)
            raise refused("invalid-form", "the form is not one of this page's", "action")
        except (Problem, NotUndoable, SumOutOfRange, Unavailable) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
            if problem is None or not is_form(request.headers):
                raise
            page = await self._render(error=problem.sentence)
            page.status_code = problem.status
            page.headers.update(problem.headers)
            return page

    async def _render(
        self,
        *,
        confirming: bool = False,
        done: Reset | None = None,
        undone: Reset | None = None,
        error: str | None = None,
    ) -> Response:
        total = await total_or_none(self._total)
        past: list[Reset] = []
        if total is not None:
            past = await self._resets.past(limit=_SHOWN)
        return PageResponse(
            pages.render(
                "reset",
                static=static_of("reset"),
                total=total,
                confirming=confirming,
                key=secrets.token_urlsafe(16),
                resets=[_for_page(made) for made in past],
                done=done and _for_page(done),
                undone=undone and _for_page(undone),
                error=error,
            )
        )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS


def _for_page(made: Reset) -> representation.Shown:
    return {**representation.reset(made), "undoable": made.undoable}
