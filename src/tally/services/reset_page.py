"""The page of resets: its forms, and what became of them."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tally import pages, representation
from tally.ledger.database import Unavailable
from tally.ledger.reader import Total
from tally.ledger.resets import NotUndoable, Reset, Resets
from tally.ledger.writer import SumOutOfRange
from tally.services.service import ID, path_of, static_of
from tally.web.auth import Access
from tally.web.problem import Problem, sentence
from tally.web.request import (
    FORM,
    is_form,
    is_key,
    read_body,
    read_form,
    read_number,
    require_content_type,
)
from tally.web.response import PageResponse

PATH: Final = path_of("reset")
_SHOWN: Final = 50
_NOTHING: Final[dict[str, Any]] = {
    "asked": None,
    "before": None,
    "confirming": False,
    "done": None,
    "error": None,
    "undoing": None,
    "undone": None,
    "unsure": None,
}
_OUTCOMES: Final = ("done", "undone", "undo")
_SHOWS: Final = {"cleared": "done", "done": "done", "undo": "undoing"}


class ResetPage:
    """Answers GET with the page, and POST of its forms with what became of them."""

    def __init__(
        self, resets: Resets, read_total: Callable[[], Awaitable[Total]], access: Access
    ) -> None:
        self._resets = resets
        self._read_total = read_total
        self._access = access

    async def get(self, request: Request) -> Response:
        query = request.query_params
        shown: dict[str, Any] = {
            "confirming": "confirm" in query,
            "before": read_number(query, "before"),
        }
        named = next((name for name in _OUTCOMES if ID.fullmatch(query.get(name, ""))), None)
        if named is not None:
            shown |= await self._named(named, query[named])
        elif is_key(query.get("cleared", "")):
            shown |= await self._named("cleared", query["cleared"])
        return await self._show(**shown)

    async def _named(self, outcome: str, name: str) -> dict[str, Any]:
        """Say again what was done with a reset that an address names, or what can be."""
        try:
            if outcome == "cleared":
                found = await self._resets.made_under(name)
            else:
                found = await self._resets.get(int(name))
        except Unavailable:
            if outcome == "undo":
                return {"undoing": {"id": int(name)}}
            return {"asked": (outcome, name)}
        if found is None or (outcome == "undone" and found.undone_at is None):
            return {}
        if outcome == "undo" and not found.undoable and found.undone_at is None:
            return {"error": "Only the newest reset can be undone, and none that was purged."}
        shown = "undone" if found.undone_at is not None else _SHOWS[outcome]
        return {shown: _for_page(found)}

    async def post(self, request: Request) -> Response:
        if not is_form(request.headers):
            await self._access.authorize(request.headers)
        require_content_type(request.headers, FORM)
        form = read_form(await read_body(request))
        again = _again(form)
        try:
            await self._access.authorize(request.headers)
        except Problem as refusal:
            page = await self._show(error=refusal.sentence, status=refusal.status, **again)
            page.headers.update(refusal.headers)
            return page
        try:
            match form:
                case {"action": "reset", "key": key, **rest} if is_key(key) and not rest:
                    made, _ = await self._resets.reset(key)
                    return _redirect(f"?done={made.id}" if made.id else "")
                case {"action": "undo", "id": number, **rest} if ID.fullmatch(number) and not rest:
                    return await self._undo(int(number))
        except Unavailable:
            # Who sends the same again does it once, should it have been done.
            return PageResponse.unavailable(_render(unsure=form["action"], **again))
        return await self._show(error="The form is not one of this page's.", status=422)

    async def _undo(self, number: int) -> Response:
        try:
            await self._resets.undo(number)
        except (NotUndoable, SumOutOfRange) as error:
            found = await self._resets.get(number)
            if found is None or found.undone_at is None:
                return await self._show(error=sentence(str(error)), status=409)
        return _redirect(f"?undone={number}")

    async def _show(
        self,
        *,
        status: int = 200,
        before: int | None = None,
        **shown: Any,  # noqa: ANN401 - of `_NOTHING`
    ) -> PageResponse:
        try:
            total = representation.total(await self._read_total())
            past = await self._resets.past(before, _SHOWN + 1)
        except Unavailable:
            return PageResponse(_render(**shown), status)
        shown["before"] = before
        return PageResponse(_render(total, past, **shown), status)


def _render(
    total: representation.Shown | None = None,
    past: Sequence[Reset] = (),
    **shown: Any,  # noqa: ANN401 - of `_NOTHING`
) -> bytes:
    context = {
        "total": total,
        "resets": [_for_page(made) for made in past[:_SHOWN]],
        "older": past[_SHOWN - 1].id if len(past) > _SHOWN else None,
        "key": secrets.token_urlsafe(16),
    }
    return pages.render("reset", static=static_of("reset"), **context | _NOTHING | shown)


def _again(form: Mapping[str, str]) -> dict[str, Any]:
    """What shows the form that was sent once more."""
    if form.get("action") == "reset" and is_key(form.get("key", "")):
        return {"confirming": True, "key": form["key"]}
    number = form.get("id", "")
    return {"undoing": {"id": int(number)}} if ID.fullmatch(number) else {}


def _redirect(query: str) -> Response:
    return RedirectResponse(f"{PATH[1:]}{query}", 303)


def _for_page(made: Reset) -> representation.Shown:
    return {**representation.reset(made), "undoable": made.undoable}
