"""Reading what a request carries: bounded bodies, JSON entries, forms, keys, parameters."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive

from tally.amount import (
    TEXT_PATTERN,
    Amount,
    InvalidAmount,
    parse_number,
    parse_text,
    read_matched,
)
from tally.ledger.writer import MAX_BATCH_VALUES
from tally.web.problem import Problem, refused

MAX_BODY: Final = 1024 * 1024
MAX_VALUES: Final = MAX_BATCH_VALUES
BODY_SECONDS: Final = 10.0
_MAX_KEY: Final = 255
_KEY: Final = re.compile(rf"[!-~]{{1,{_MAX_KEY}}}")
_MAX_FIELDS: Final = 20
_MAX_ID: Final = 2**63 - 1
_SHOWN_NAME: Final = 50

# What it takes means the same to the careful reader.
_PLAIN_BODY: Final = re.compile(
    rb'[ \t\r\n]*\{[ \t\r\n]*"value"[ \t\r\n]*:[ \t\r\n]*'
    rb'(?:"(%b)"|(-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,9})?))[ \t\r\n]*\}[ \t\r\n]*'
    % TEXT_PATTERN.encode()
)


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one add; `batch` where they came as a list."""

    values: Sequence[Amount]
    batch: bool


class _Number(str):
    """The text of a JSON number, kept so that it can be read exactly."""

    __slots__ = ()


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """Read a body of at most 1 MiB within ten seconds; raise `Problem`."""
    declared = headers.get("content-length", "0")
    if len(declared) > len(str(MAX_BODY)) or int(declared) > MAX_BODY:
        raise _too_large()
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the body ended too early", rule="incomplete-body")
                part: bytes = message.get("body", b"")
                body += part
                if len(body) > MAX_BODY:
                    raise _too_large()
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise Problem(
            408,
            f"the body did not arrive within {BODY_SECONDS:g} seconds",
            rule="body-timeout",
            headers={"Connection": "close"},
        ) from None


def require_content_type(headers: Headers, expected: str) -> None:
    """Raise 415 unless the body is of the expected type."""
    given = headers.getlist("content-type")
    if len(given) != 1 or given[0].partition(";")[0].strip().lower() != expected:
        raise Problem(415, f"the content type must be {expected}", rule="content-type")


def read_plain(body: bytes) -> Amount | None:
    """Read a plain {"value": ...} in one step; None for all else, which `read_values` reads."""
    plain = _PLAIN_BODY.fullmatch(body)
    return None if plain is None else read_matched((plain[1] or plain[2]).decode())


def read_values(body: bytes) -> Values:
    """Read {"value": ...} or {"values": [...]}; raise `Problem` naming the field and the rule."""
    document = read_json(body)
    if not isinstance(document, dict):
        raise refused("wrong-type", "the body must be a JSON object")
    for name in document:
        if name not in ("value", "values"):
            shown = name[:_SHOWN_NAME]
            raise refused("unknown-field", f"there is no field {shown!r}", shown)
    if not document:
        raise refused("missing-field", "the field value or values is missing", "value")
    if len(document) > 1:
        raise refused("unknown-field", "give either value or values, not both", "values")
    if "value" in document:
        return Values((_read_value(document["value"], "value"),), batch=False)
    values = document["values"]
    if not isinstance(values, list):
        raise refused("wrong-type", "values must be a list", "values")
    if not values:
        raise refused("no-values", "values must not be empty", "values")
    if len(values) > MAX_VALUES:
        raise refused("too-many-values", f"values may hold at most {MAX_VALUES}", "values")
    return Values(
        [_read_value(value, f"values[{place}]") for place, value in enumerate(values)], batch=True
    )


def _read_value(value: object, field: str) -> Amount:
    try:
        if isinstance(value, _Number):
            return parse_number(value)
        if isinstance(value, str):
            return parse_text(value)
    except InvalidAmount as error:
        raise refused(error.rule, f"{field} {error}", field) from error
    raise refused("wrong-type", f"{field} must be a number or a string", field)


def read_json(body: bytes) -> Any:  # noqa: ANN401
    """Read JSON strictly: UTF-8, no duplicate fields, no NaN; numbers stay text."""
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise Problem(400, "the body is not valid JSON in UTF-8", rule="invalid-json") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                shown = name[:_SHOWN_NAME]
                raise refused("duplicate-field", f"the field {shown!r} is given twice", shown)
            seen.add(name)
    return fields


def _constant(name: str) -> object:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_Number, parse_int=_Number, parse_constant=_constant
)


def read_form(body: bytes) -> Mapping[str, str]:
    """Read a browser's form; a field given twice is refused."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
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
    if len(keys) > 1 or not is_key(keys[0]):
        raise refused(
            "invalid-key",
            f"Idempotency-Key must be given once, with 1 to {_MAX_KEY} visible ASCII characters",
            "Idempotency-Key",
        )
    return keys[0]


def is_key(key: str) -> bool:
    """Tell whether a text can be an idempotency key."""
    return _KEY.fullmatch(key) is not None


def read_page(query: bytes, *, most: int, usual: int) -> tuple[int | None, int]:
    """Read `before` and `limit` of a keyset page; raise `Problem` for anything else."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise refused("invalid-query", "the query can't be read") from None
    parameters = _unique(pairs)
    for name in parameters:
        if name not in ("before", "limit"):
            shown = name[:_SHOWN_NAME]
            raise refused("unknown-field", f"there is no parameter {shown!r}", shown)
    before = _whole_number(parameters, "before", _MAX_ID)
    limit = _whole_number(parameters, "limit", most)
    return before, usual if limit is None else limit


def _whole_number(parameters: Mapping[str, str], name: str, most: int) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,19}", text) is None or not 1 <= int(text) <= most:
        raise refused("out-of-range", f"{name} must be a whole number from 1 to {most}", name)
    return int(text)


def _too_large() -> Problem:
    return Problem(
        413,
        f"the body may have at most {MAX_BODY} bytes",
        rule="body-too-large",
        headers={"Connection": "close"},
    )
