"""Reading the values of an add from its body, exactly."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tally.amount import TEXT_PATTERN, Amount, InvalidAmount, parse_json, read_matched
from tally.ledger.writer import MAX_BATCH_VALUES
from tally.web.problem import refused
from tally.web.request import read_json, unknown

# The grammar of a plain {"value": ...}, written a second time for the fast path.
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
            raise unknown("field", name)
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
    if len(values) > MAX_BATCH_VALUES:
        raise refused("too-many-values", f"values may hold at most {MAX_BATCH_VALUES}", "values")
    return Values(
        [_read_value(value, f"values[{place}]") for place, value in enumerate(values)], batch=True
    )


def _read_value(value: object, field: str) -> Amount:
    try:
        return parse_json(value)
    except InvalidAmount as error:
        raise refused(error.rule, f"{field} {error}", field) from error
