"""Reading what a request carries: bounded bodies, strict JSON, forms, keys, parameters."""

import asyncio
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request

from tally import strict_json
from tally.web.problem import RETRY_AFTER, Problem, refused

FORM: Final = "application/x-www-form-urlencoded"
MAX_BODY: Final = 1024 * 1024
BODY_SECONDS: Final = 10.0
# Bytes of all bodies that are being read: 64 of the greatest, or many thousands of usual ones.
MAX_HELD: Final = 64 * MAX_BODY
MAX_KEY: Final = 255
_KEY: Final = re.compile(rf"[!-~]{{1,{MAX_KEY}}}")
MAX_FORM_FIELDS: Final = 20
_MAX_ID: Final = 2**63 - 1
_SHOWN_NAME: Final = 50


def unknown(kind: str, name: str) -> Problem:
    """Refuse a field or a parameter that nobody asked for."""
    shown = name[:_SHOWN_NAME]
    return refused("unknown-field", f"there is no {kind} {shown!r}", shown)


async def read_body(request: Request) -> bytes:
    """Read a body of at most 1 MiB within ten seconds; raise `Problem`."""
    declared = request.headers.get("content-length", "").lstrip("0") or "0"
    if len(declared) > len(str(MAX_BODY)) or int(declared) > MAX_BODY:
        raise too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise incomplete()
                part = message.get("body", b"")
                _bodies.held += len(part)
                body += part
                if len(body) > MAX_BODY:
                    raise too_large()
                if _bodies.held > MAX_HELD:
                    raise Problem(503, "too many requests at once", retry_after=RETRY_AFTER)
                more = message.get("more_body", False)
            return bytes(body)
    except TimeoutError:
        raise Problem(
            408,
            f"the body did not arrive within {BODY_SECONDS:g} seconds",
            rule="body-timeout",
            headers={"Connection": "close"},
        ) from None
    finally:
        _bodies.held -= len(body)


class _Bodies:
    """Counts the bytes of all bodies that are being read."""

    held = 0


_bodies: Final = _Bodies()


def require_content_type(headers: Headers, expected: str) -> None:
    """Raise 415 unless the body is of the expected type."""
    if not _is_of_type(headers, expected):
        raise Problem(415, f"the content type must be {expected}", rule="content-type")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "the body must not be encoded", rule="content-encoding")


def require_nothing(headers: Headers, body: bytes) -> None:
    """Raise `Problem` unless the body is empty, or JSON's empty object."""
    if body.strip():
        require_content_type(headers, "application/json")
        if read_json(body) != {}:
            raise refused("unknown-field", "the body must be empty or {}")


def is_form(headers: Headers) -> bool:
    """Tell whether a browser's form was sent."""
    return _is_of_type(headers, FORM)


def _is_of_type(headers: Headers, expected: str) -> bool:
    given = headers.getlist("content-type")
    return [it.partition(";")[0].strip().lower() for it in given] == [expected]


def read_json(body: bytes) -> Any:  # noqa: ANN401
    """Read JSON strictly: UTF-8, no duplicate fields, no NaN; numbers stay text."""
    try:
        return strict_json.read(body)
    except strict_json.NotJSON:
        raise Problem(400, "the body is not valid JSON in UTF-8", rule="invalid-json") from None
    except strict_json.DuplicateField as error:
        shown = error.name[:_SHOWN_NAME]
        raise refused("duplicate-field", f"the field {shown!r} is given twice", shown) from None


def read_form(body: bytes) -> Mapping[str, str]:
    """Read a browser's form; a field given twice is refused."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError:
        raise Problem(400, "the form can't be read", rule="invalid-form") from None
    return _unique(pairs)


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise refused("duplicate-field", "a field is given twice")
    return fields


def read_key(headers: Headers) -> str | None:
    """Read the Idempotency-Key header, if there is one."""
    keys = headers.getlist("idempotency-key")
    if not keys:
        return None
    key, *others = keys
    if others or not is_key(key):
        raise refused(
            "invalid-key",
            f"Idempotency-Key must be given once, with 1 to {MAX_KEY} visible ASCII characters",
            "Idempotency-Key",
        )
    return key


def is_key(key: str) -> bool:
    """Tell whether a text can be an idempotency key."""
    return _KEY.fullmatch(key) is not None


def read_query(query: bytes, names: Collection[str]) -> dict[str, str]:
    """Read the parameters of a query; raise `Problem` for one of another name."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError:
        raise refused("invalid-query", "the query can't be read") from None
    parameters = _unique(pairs)
    for name in parameters:
        if name not in names:
            raise unknown("parameter", name)
    return parameters


def read_page(query: bytes, *, most: int, usual: int) -> tuple[int | None, int]:
    """Read `before` and `limit` of a keyset page; raise `Problem` for anything else."""
    parameters = read_query(query, ("before", "limit"))
    limit = read_number(parameters, "limit", most)
    return read_number(parameters, "before"), usual if limit is None else limit


def read_number(parameters: Mapping[str, str], name: str, most: int = _MAX_ID) -> int | None:
    """Read a whole number from 1 on, None where none is given; raise `Problem`."""
    text = parameters.get(name)
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,19}", text) is None or not 1 <= int(text) <= most:
        raise refused("out-of-range", f"{name} must be a whole number from 1 to {most}", name)
    return int(text)


def incomplete() -> Problem:
    """Refuse a body whose end did not come."""
    return Problem(400, "the body ended too early", rule="incomplete-body")


def too_large() -> Problem:
    """Refuse a body that has too many bytes."""
    return Problem(
        413,
        f"the body may have at most {MAX_BODY} bytes",
        rule="body-too-large",
        headers={"Connection": "close"},
    )
