"""The adder: takes values in."""

import re
import secrets
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tally import pages, representation
from tally.amount import InvalidAmount, parse_text
from tally.ledger.add import Added, Key, KeyReused, QueueFull, SumOutOfRange
from tally.ledger.corrections import Corrections
from tally.ledger.database import Database, Unavailable
from tally.ledger.reader import Reader
from tally.ledger.replay import replay_single
from tally.ledger.writer import Writer
from tally.services.errors import problem_of
from tally.services.service import Service, path_of, static_of, total_or_none
from tally.services.values import read_plain, read_values
from tally.settings import Settings
from tally.web import metrics
from tally.web.auth import Access
from tally.web.fast_path import JSON_LINES, FastRequest
from tally.web.hosts import Hosts
from tally.web.problem import Problem
from tally.web.request import (
    FORM,
    is_form,
    is_key,
    read_body,
    read_form,
    read_key,
    require_content_type,
    require_nothing,
)
from tally.web.response import JSONResponse, PageResponse

PATH: Final = path_of("adder")
ENTRIES: Final = f"{PATH}/entries"

_REPLAYED_LINES: Final = JSON_LINES + b"idempotency-replayed: true\r\n"
# The key that a form was given. Nobody can guess one, so an address tells what such a key added;
# keys that clients choose can be guessed.
_FORM_KEY: Final = re.compile(r"form-[A-Za-z0-9_-]{22}")
# A stopping service has answered all that waits long before; what is left has no client any more.
_CLOSE_SECONDS: Final = 1.0


class Adder(Service):
    """The form, and `POST /adder_service/entries` on its two ways."""

    name = "adder"

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(
            database,
            {
                PATH: {"GET": self._page, "POST": self._submit},
                ENTRIES: {"POST": self._add},
                f"{ENTRIES}/{{id:id}}/undo": {"POST": self._undo},
            },
        )
        self.fast["POST", ENTRIES] = self._add_plain
        self._access = Access("Tally: add", settings.add_token, Hosts(settings.hosts))
        self._total = Reader(database).total
        self._corrections = Corrections(database)
        self._writer = Writer(
            database,
            queue_limit=settings.queue_limit,
            on_commit=metrics.observe_commit,
        )
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

    async def _page(self, request: Request) -> Response:
        key = request.query_params.get("added", "")
        total = await total_or_none(self._total)
        added = None
        if total is not None and _FORM_KEY.fullmatch(key):
            added = await self._replay(key)
        return self._render(total=total, added=added)

    async def _replay(self, key: str) -> representation.Shown | None:
        """What the form with this key added, read back rather than believed from the address."""
        try:
            replayed = await replay_single(self.database, key)
        except Unavailable:
            return None
        return None if replayed is None else representation.added(*replayed)

    async def _submit(self, request: Request) -> Response:
        try:
            await self._access.authorize(request.headers)
        except Problem as refusal:
            if not is_form(request.headers):
                raise
            value = read_form(await read_body(request)).get("value", "")
            return await self._refuse(
                value, refusal.status, refusal.sentence, headers=refusal.headers
            )
        require_content_type(request.headers, FORM)
        form = read_form(await read_body(request))
        value, key = form.get("value", ""), form.get("key", "")
        if form.keys() != {"value", "key"} or not is_key(key):
            return await self._refuse(value, 422, "The form was incomplete. Please add again.")
        try:
            amount = parse_text(value.strip())
            await self._writer.add((amount,), Key.of(key, (amount,), batch=False))
        except KeyReused:
            # The page was sent again with another value, after going back in the browser.
            return await self._refuse(value, 422, "This form was already used. Please add again.")
        except InvalidAmount as error:
            return await self._refuse(value, 422, f"The value {error}.")
        except (SumOutOfRange, QueueFull, Unavailable) as error:
            problem = problem_of(error)
            if problem is None:
                raise
            # With the same key it is not added twice, should it have been added.
            keep = None if isinstance(error, SumOutOfRange) else key
            return await self._refuse(
                value, problem.status, problem.sentence, keep, problem.headers
            )
        return RedirectResponse(f"{PATH[1:]}?added={quote(key)}", 303)

    async def _refuse(
        self,
        value: str,
        status: int,
        message: str,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Show the form again, with what was typed; `key` where it may have been added already."""
        page = self._render(
            total=await total_or_none(self._total), value=value, error=message, key=key
        )
        page.status_code = status
        page.headers.update(headers or {})
        return page

    @staticmethod
    def _render(
        *,
        total: representation.Shown | None,
        value: str = "",
        error: str | None = None,
        added: representation.Shown | None = None,
        key: str | None = None,
    ) -> PageResponse:
        return PageResponse(
            pages.render(
                "adder",
                static=static_of("adder"),
                total=total,
                key=key or f"form-{secrets.token_urlsafe(16)}",
                value=value,
                error=error,
                added=added,
            )
        )
