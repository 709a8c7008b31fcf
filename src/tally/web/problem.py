"""Errors as clients see them: problem+json (RFC 9457) for programs, a readable page for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tally import pages
from tally.amount import InvalidAmount
from tally.ledger.database import SchemaOutdated, Unavailable
from tally.ledger.resets import NotUndoable
from tally.ledger.writer import KeyReused, QueueFull, SumOutOfRange

RETRY_AFTER: Final = 1  # seconds; a restarted database is back within a few

_TITLES: Final = {
    404: "There is nothing here",
    413: "Too large",
    422: "Not accepted",
    503: "Not available right now",
}


class Problem(Exception):
    """A request that is refused, and all that its sender is told about it."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        rule: str | None = None,
        field: str | None = None,
        outcome: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`rule` and `field` name what was broken and where; `outcome` whether it was stored."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.rule = rule
        self.field = field
        self.outcome = outcome
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    @property
    def sentence(self) -> str:
        """The detail as people read it."""
        return f"{self.detail[0].upper()}{self.detail[1:]}."


def refused(rule: str, detail: str, field: str | None = None) -> Problem:
    """Refuse a value or a parameter: 422."""
    return Problem(422, detail, rule=rule, field=field)


def problem_of(error: Exception) -> Problem | None:  # noqa: PLR0911 - a table
    """Say what an error of the ledger's means for the client; None for a defect."""
    match error:
        case Problem():
            return error
        case InvalidAmount():
            return refused(error.rule, f"value {error}", "value")
        case SumOutOfRange():
            return refused("sum-out-of-range", str(error), "value")
        case KeyReused():
            return refused("idempotency-key-reuse", str(error), "Idempotency-Key")
        case NotUndoable():
            return Problem(409, str(error))
        case QueueFull():
            return _unavailable("too many requests wait already; nothing was stored")
        case Unavailable(outcome_known=True):
            return _unavailable(f"{error}; nothing was stored")
        case Unavailable():
            return _unavailable(
                f"{error}; whether the request was stored is not known:"
                " repeat it with the same Idempotency-Key",
                outcome="unknown",
            )
        case SchemaOutdated():
            return _unavailable(str(error))
        case HTTPException():
            return Problem(
                error.status_code,
                _DETAILS.get(error.status_code, error.detail),
                headers=_in_order(error.headers or {}),
            )
    return None


_DETAILS: Final = {
    404: "no such page or resource",
    405: "this resource does not take that method; see the Allow header",
}


def _in_order(headers: Mapping[str, str]) -> dict[str, str]:
    """Sort the methods of an Allow header, which come from a set."""
    return {name: ", ".join(sorted(value.split(", "))) for name, value in headers.items()}


def _unavailable(detail: str, outcome: str = "not stored") -> Problem:
    return Problem(503, detail, outcome=outcome, retry_after=RETRY_AFTER)


def respond(problem: Problem, headers: Headers, static: str, request_id: str) -> Response:
    """Write a problem the way its reader prefers."""
    title = _TITLES.get(problem.status) or HTTPStatus(problem.status).phrase
    if "text/html" in headers.get("accept", ""):
        page = pages.render(
            "error",
            static=static,
            status=problem.status,
            title=title,
            detail=problem.sentence,
            request_id=request_id,
            retry_after=problem.retry_after,
        )
        return Response(page, problem.status, problem.headers, "text/html")
    return Response(
        problem_json(problem, title, request_id),
        problem.status,
        problem.headers,
        "application/problem+json",
    )


def problem_json(problem: Problem, title: str, request_id: str) -> bytes:
    """Encode a problem."""
    members = {
        "type": "about:blank",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
        "field": problem.field,
        "rule": problem.rule,
        "outcome": problem.outcome,
        "request_id": request_id,
    }
    return msgspec.json.encode(
        {name: value for name, value in members.items() if value is not None}
    )
