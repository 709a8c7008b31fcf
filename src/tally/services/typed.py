"""Numbers as people type and paste them, which may mean more than the strict ones of the API."""

import re
from typing import Final, Literal, get_args

from tally.amount import Amount, InvalidAmount, parse_text

Comma = Literal["thousands", "point"]
COMMAS: Final[tuple[Comma, ...]] = get_args(Comma)

# What looks like a hyphen, a space or an apostrophe, or like nothing: the marks that number lists
# in languages from right to left hold.
_PLAIN: Final = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u00a0\u2007\u2009\u202f", " ")
    | {"\u2019": "'"}
    | dict.fromkeys("\u061c\u200b\u200e\u200f\u2066\u2067\u2068\u2069\ufeff")
)
_SIGNED: Final = re.compile(r"([+-]?) *(.*)")
# What stands between thousands, and the decimal point. A lone point is never one of thousands.
_NOTATIONS: Final[tuple[tuple[str, str, Comma], ...]] = (
    (r"[1-9][0-9]{0,2}(?:,[0-9]{3})+", r"\.", "thousands"),
    (r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+", ",", "point"),
    (r"[1-9][0-9]{0,2}(?:[ '][0-9]{3})+", "[.,]", "point"),
    (r"[0-9]*", "[.,]", "point"),
)
_PATTERNS: Final = tuple(
    (re.compile(rf"({whole})(?:{point}([0-9]+))?"), comma) for whole, point, comma in _NOTATIONS
)


class UnclearComma(Exception):
    """The comma may stand between thousands, or be the decimal point."""


def read(text: str, comma: Comma | None = None) -> Amount:
    """Read an amount; `comma` says what one means where it may mean either.

    Raises `InvalidAmount`, or `UnclearComma` where that is not said.
    """
    plain = text.translate(_PLAIN).strip()
    try:
        return parse_text(plain)
    except InvalidAmount as error:
        found = _readings(plain)
        if not found:
            if error.rule == "not-a-number":
                raise InvalidAmount(error.rule, "must be a number such as 12.5 or -3") from None
            raise
    if len(found) == 1:
        return parse_text(*found.values())
    if comma is None:
        raise UnclearComma
    return parse_text(found[comma])


def _readings(plain: str) -> dict[Comma, str]:
    """Write each thing that a text may mean in the strict notation."""
    signed = _SIGNED.fullmatch(plain)
    if signed is None:
        return {}
    found: dict[Comma, str] = {}
    for pattern, comma in _PATTERNS:
        match = pattern.fullmatch(signed[2])
        if match is not None and any(match.groups()):
            whole, fraction = match.groups(default="")
            digits = re.sub("[^0-9]", "", whole)
            found.setdefault(comma, signed[1] + digits + (f".{fraction}" if fraction else ""))
    return found
