"""The adder: takes values in."""

import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tally import pages, representation
from tally.amount import Amount, InvalidAmount, format_amount, parse_text
from tally.ledger.database import Database, Unavailable
from tally.ledger.reader import SingleFlight, read_total
from tally.ledger.replay import replay_single
from tally.ledger.writer import (
    Added,
    Key,
    KeyReused,
    QueueFull,
    SumOutOfRange,
    Writer,
)
from tally.services.service import PageResponse, Service
from tally.settings import Settings
from tally.web import metrics
from tally.web.auth import plainly_allowed, refuse_other_sites, require_token
from tally.web.middleware import Answer, Taker
from tally.web.problem import problem_of
from tally.web.request import (
    is_key,
    read_body,
    read_form,
    read_key,
    read_plain,
    read_values,
    require_content_type,
)

PATH: Final = "/adder_service"
ENTRIES: Final = f"{PATH}/entries"
STATIC: Final = f"{PATH}/static/"

# A stopping service has answered all that waits long before; what is left has no client any more.
_CLOSE_SECONDS: Final = 1.0


class Adder:
    """The adder's endpoints."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Add to this database."""

        self._database = database
        self._token = settings.add_token
        self._total = SingleFlight(lambda: database.run(read_total, one_statement=True))
        self._writer = Writer(
            database,
            queue_limit=settings.queue_limit,
            on_commit=metrics.observe_commit,
        )
        metrics.queued_values.set_function(lambda: self._writer.queued_values)

    def service(self) -> Service:
        """Describe the service."""
        return Service(
            "adder",
            self._database,
            {
                PATH: {"GET": self._page, "POST": self._submit},
                ENTRIES: {"POST": self._through_router},
            },
            self._start,
            self._stop,
        )

    def fast(self) -> dict[tuple[str, str], ASGIApp]:
        """What skips the router: a request is almost all of what an add costs."""
        return {("POST", ENTRIES): self._add}

    def lanes(self) -> dict[tuple[str, str], Taker]:
        """What need not go through ASGI at all."""
        return {("POST", ENTRIES): self._take}

    def _take(
        self,
        headers: dict[bytes, bytes],
        body: bytes,
        finish: Callable[[Answer | Exception], None],
    ) -> bool:
        value = read_plain(body)
        given_key = headers.get(b"idempotency-key")
        if (
            value is None
            or headers.get(b"content-type") != b"application/json"
            or not plainly_allowed(headers, self._token)
            or not (given_key is None or is_key(given_key.decode("latin-1")))
        ):
            return False

        def added(outcome: Added | Exception) -> None:
            if isinstance(outcome, Added):
                lines = _REPLAYED_LINES if outcome.replayed else _JSON_LINES
                finish((201, lines, _single(value, outcome)))
            else:
                finish(outcome)

        values = (value,)
        key = None
        if given_key is not None:
            key = Key.of(given_key.decode("ascii"), values, batch=False)
        try:
            self._writer.submit(values, key, added)
        except (QueueFull, Unavailable) as error:
            finish(error)
        return True

    async def _start(self) -> None:
        self._writer.start()

    async def _stop(self) -> None:
        await self._writer.close(_CLOSE_SECONDS)
        await self._database.close()

    async def _add(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refuse_other_sites(headers)
        require_token(headers, self._token)
        require_content_type(headers, "application/json")
        key = read_key(headers)
        given = read_values(await read_body(headers, receive))
        added = await self._writer.add(
            given.values,
            None if key is None else Key.of(key, given.values, batch=given.batch),
        )
        if given.batch:
            answer = _encode(
                {
                    "first_id": added.first_id,
                    "last_id": added.last_id,
                    "sum": format_amount(added.sum),
                    "count": added.count,
                }
            )
        else:
            answer = _single(given.values[0], added)
        answer_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ]
        if added.replayed:
            answer_headers.append((b"idempotency-replayed", b"true"))
        await send({"type": "http.response.start", "status": 201, "headers": answer_headers})
        await send({"type": "http.response.body", "body": answer})

    async def _through_router(self, request: Request) -> Response:
        raise AssertionError("served before the router is asked")

    async def _page(self, request: Request) -> Response:
        key = request.query_params.get("added", "")
        total = await representation.total_or_none(self._total)
        added = None
        if total is not None and is_key(key):
            added = await self._shown_added(key)
        return self._render(total=total, added=added)

    async def _shown_added(self, key: str) -> dict[str, object] | None:
        """What the form with this key added, read back rather than believed from the address."""
        try:
            replayed = await replay_single(self._database, key)
        except Unavailable:
            return None
        if replayed is None:
            return None
        added, value = replayed
        return {
            "id": added.first_id,
            "value": format_amount(value),
            "sum": format_amount(added.sum),
        }

    async def _submit(self, request: Request) -> Response:
        refuse_other_sites(request.headers)
        require_token(request.headers, self._token)
        require_content_type(request.headers, "application/x-www-form-urlencoded")
        form = read_form(await read_body(request.headers, request.receive))
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
            keep = key if isinstance(error, Unavailable) and not error.outcome_known else None
            return await self._refuse(
                value, problem.status, problem.sentence, keep, problem.headers
            )
        return RedirectResponse(f"{PATH}?added={quote(key)}", 303)

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
            total=await representation.total_or_none(self._total),
            value=value,
            error=message,
            key=key,
        )
        page.status_code = status
        page.headers.update(headers or {})
        return page

    @staticmethod
    def _render(
        *,
        total: dict[str, object] | None,
        value: str = "",
        error: str | None = None,
        added: dict[str, object] | None = None,
        key: str | None = None,
    ) -> PageResponse:
        return PageResponse(
            pages.render(
                "adder",
                static=STATIC,
                total=total,
                key=key or secrets.token_urlsafe(16),
                value=value,
                error=error,
                added=added,
            )
        )


_encode = msgspec.json.Encoder().encode
_JSON_LINES: Final = b"content-type: application/json\r\n"
_REPLAYED_LINES: Final = _JSON_LINES + b"idempotency-replayed: true\r\n"


def _single(value: Amount, added: Added) -> bytes:
    return _encode(
        {
            "id": added.first_id,
            "value": format_amount(value),
            "sum": format_amount(added.sum),
            "count": added.count,
        }
    )
