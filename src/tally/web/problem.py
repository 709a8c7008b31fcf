"""Errors as clients see them: problem+json (RFC 9457) for programs, a readable page for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.exceptions import HTTPException

RETRY_AFTER: Final = 1  # seconds; a restarted database is back within a few

_TITLES: Final = {
    404: "There is nothing here",
    413: "Too large",
    422: "Not accepted",
    503: "Not available right now",
}
_ROUTING_DETAILS: Final = {
    404: "no such page or resource",
    405: "this resource does not take that method; see the Allow header",
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
        self.detail = _writable(detail)
        self.rule = rule
        self.field = field and _writable(field)
        self.outcome = outcome
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    @property
    def title(self) -> str:
        """The status in words."""
        return _TITLES.get(self.status) or HTTPStatus(self.status).phrase

    @property
    def sentence(self) -> str:
        """The detail as people read it."""
        return sentence(self.detail)


def sentence(text: str) -> str:
    """Write what an error says as people read it."""
    return f"{text[:1].upper()}{text[1:]}."


def _writable(text: str) -> str:
    """Show what UTF-8 has no bytes for, as JSON can hold half of a surrogate pair."""
    return text.encode(errors="backslashreplace").decode()


def refused(rule: str, detail: str, field: str | None = None) -> Problem:
    """Refuse a value or a parameter: 422."""
    return Problem(422, detail, rule=rule, field=field)


def routing_problem(error: HTTPException) -> Problem:
    """Say what the router's error means: no such path, or not that method."""
    return Problem(
        error.status_code,
        _ROUTING_DETAILS.get(error.status_code, error.detail),
        headers=_in_order(error.headers or {}),
    )


def _in_order(headers: Mapping[str, str]) -> dict[str, str]:
    """Sort the methods of an Allow header, which come from a set."""
    return {name: ", ".join(sorted(value.split(", "))) for name, value in headers.items()}


def problem_json(problem: Problem, request_id: str) -> bytes:
    """Encode a problem; a member that says nothing is left out."""
    members = {
        "type": "about:blank",
        "title": problem.title,
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
