"""The adder's page: its form, and what became of it."""

import re
import secrets
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tally import pages, representation
from tally.amount import Amount, format_amount
from tally.ledger.add import Key, KeyReused, QueueFull, SumOutOfRange
from tally.ledger.corrections import MAX_TOGETHER, Corrections, EntryNotUndoable
from tally.ledger.database import Database, Unavailable
from tally.ledger.reader import Reader
from tally.ledger.replay import replay_answer
from tally.ledger.writer import Writer
from tally.services.adder_form import Form, InvalidForm, Summary
from tally.services.service import ID, path_of, static_of, total_or_none
from tally.services.typed import COMMAS, UnclearComma
from tally.web.auth import Access
from tally.web.problem import Problem, sentence
from tally.web.request import FORM, is_form, read_body, read_form, require_content_type
from tally.web.response import PageResponse

PATH: Final = path_of("adder")
# The key that a form was given. Nobody can guess one, so an address tells what such a key added;
# keys that clients choose can be guessed.
_FORM_KEY: Final = re.compile(r"form-[A-Za-z0-9_-]{22}")
_TOO_MANY: Final = f"At most {MAX_TOGETHER} entries can be undone together."
_NOTHING: Final[dict[str, Any]] = {
    "added": None,
    "asked": None,
    "choices": (),
    "errors": (),
    "refused": None,
    "review": None,
    "undoing": None,
    "undone": None,
    "unsure": False,
}


class AdderPage:
    """Answers GET with the page, and POST of its form with what became of it."""

    def __init__(
        self, database: Database, writer: Writer, corrections: Corrections, access: Access
    ) -> None:
        self._database = database
        self._writer = writer
        self._corrections = corrections
        self._access = access
        self._total = Reader(database).total

    async def get(self, request: Request) -> Response:
        form = Form(several="several" in request.query_params)
        key = request.query_params.get("added", "")
        if not _FORM_KEY.fullmatch(key):
            return await self._show(form)
        try:
            replayed = await replay_answer(self._database, key)
        except Unavailable:
            return PageResponse.unavailable(_render(form, None, asked=key))
        # Read back rather than believed from the address.
        if replayed is None:
            return await self._show(form)
        done, value = replayed
        undoable = done.last_id - done.first_id < MAX_TOGETHER
        shown = representation.added(done, value) | {"undoable": undoable}
        return await self._show(form, added=shown)

    async def post(self, request: Request) -> Response:
        if not is_form(request.headers):
            await self._access.authorize(request.headers)
        require_content_type(request.headers, FORM)
        fields = read_form(await read_body(request))
        form = Form.of(fields)
        try:
            await self._access.authorize(request.headers)
        except Problem as refusal:
            return await self._refuse(form, refusal.sentence, refusal=refusal)
        if fields.keys() in ({"undo"}, {"undo", "through"}) and all(
            map(ID.fullmatch, fields.values())
        ):
            first = fields["undo"]
            return await self._undo(form, int(first), int(fields.get("through", first)))
        if not Form.is_complete(fields):
            form = form._replace(key="")
            return await self._refuse(form, "The form was incomplete. Please add again.")
        return await self._add(form)

    async def _add(self, form: Form) -> Response:
        try:
            values = form.values(form.comma)
        except InvalidForm as error:
            return await self._refuse(form, *error.errors)
        except UnclearComma:
            choices = [(comma, Summary.of(form.values(comma))) for comma in COMMAS]
            return await self._show(form, status=422, choices=choices)
        review = Summary.of(values)
        if form.several and form.sure != review.sum:
            return await self._show(form.shown(values), review=review)
        return await self._store(form, values)

    async def _store(self, form: Form, values: Sequence[Amount]) -> Response:
        try:
            await self._writer.add(values, Key.of(form.key, values, batch=form.several))
        except KeyReused:
            # The page was sent again with another value, after going back in the browser.
            form = form._replace(key="")
            return await self._refuse(form, "This form was already used. Please add again.")
        except SumOutOfRange as error:
            return await self._refuse(form, sentence(str(error)))
        except (QueueFull, Unavailable):
            # With the same key it is not added twice, should it have been added.
            return PageResponse.unavailable(_render(form, None, unsure=True))
        return RedirectResponse(f"{PATH[1:]}?added={quote(form.key)}", 303)

    async def _undo(self, form: Form, first: int, last: int) -> Response:
        """Answer without a redirect: who sends it again, by a reload, undoes it once."""
        if not first <= last < first + MAX_TOGETHER:
            return await self._show(form, status=422, refused=_TOO_MANY)
        try:
            undone = await self._undone(first, last)
        except Unavailable:
            return PageResponse.unavailable(_render(form, None, undoing=(first, last)))
        except (EntryNotUndoable, SumOutOfRange) as error:
            return await self._show(form, status=409, refused=sentence(str(error)))
        return await self._show(form, undone=undone)

    async def _undone(self, first: int, last: int) -> representation.Shown:
        if first == last:
            return representation.undone(await self._corrections.undo(first))
        total = await self._corrections.undo_all(first, last)
        return {"first": first, "last": last, "sum": format_amount(total)}

    async def _refuse(
        self, form: Form, *errors: str, refusal: Problem | None = None
    ) -> PageResponse:
        page = await self._show(form, status=422, errors=errors)
        if refusal is not None:
            page.status_code = refusal.status
            page.headers.update(refusal.headers)
        return page

    async def _show(self, form: Form, *, status: int = 200, **outcome: object) -> PageResponse:
        return PageResponse(_render(form, await total_or_none(self._total), **outcome), status)


def _render(form: Form, total: representation.Shown | None, **outcome: object) -> bytes:
    return pages.render(
        "adder",
        static=static_of("adder"),
        total=total,
        form=form,
        key=form.key or f"form-{secrets.token_urlsafe(16)}",
        **_NOTHING | outcome,
    )
