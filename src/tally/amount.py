"""What a value may be: exact, bounded decimals.

An `Amount` is a whole number of 10^-9 units in a plain `int`. Integers never round, unlike floats
(53 bits) and `Decimal` (28 digits by default), and they add faster than either.
"""

import re
from typing import Final, NewType

from tally.strict_json import Number

Amount = NewType("Amount", int)

FRACTION_DIGITS: Final = 9
WHOLE_DIGITS: Final = 18

# [0-9] and not \d: \d also matches the digits of other scripts.
TEXT_PATTERN: Final = r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})"
_TEXT: Final = re.compile(TEXT_PATTERN)
_NUMBER: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_LONG_DECIMAL: Final = re.compile(r"[+-]?([0-9]*)(?:\.([0-9]*))?")
_NOT_FINITE: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
# An exponent with so many digits is out of range for any mantissa that a 1 MiB body can hold.
_EXPONENT_DIGITS: Final = 9


class InvalidAmount(ValueError):
    """A value breaks a rule; `rule` is the rule's short name, the message says it in words."""

    def __init__(self, rule: str, message: str) -> None:
        """Keep the rule beside the message, so that a program can tell rules apart."""
        super().__init__(message)
        self.rule = rule


def parse_text(text: str) -> Amount:
    """Read an amount from a string such as "12.5", "-3" or ".5"; raise `InvalidAmount`."""
    if _TEXT.fullmatch(text) is None:
        raise _text_refusal(text)
    return read_matched(text)


def read_matched(text: str) -> Amount:
    """Read an amount from a string that is known to match `TEXT_PATTERN`."""
    whole, _, fraction = text.partition(".")
    return Amount(int(whole + fraction.ljust(FRACTION_DIGITS, "0")))


def parse_number(text: str) -> Amount:
    """Read an amount from the text of a JSON number, exactly; raise `InvalidAmount`.

    Only the value counts, not how it is written: 1e3 is 1000 and 1.0000000000 is 1.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidAmount("not-a-number", "must be a decimal number")
    sign, whole, fraction, exponent = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return Amount(0)
    power = int(exponent.lstrip("+-").lstrip("0")[:_EXPONENT_DIGITS] or "0")
    shift = -power if exponent.startswith("-") else power
    # The value is `significant` x 10^scale units.
    scale = shift - len(fraction) + len(digits) - len(significant) + FRACTION_DIGITS
    if len(significant) + scale > WHOLE_DIGITS + FRACTION_DIGITS:
        raise _too_large()
    if scale < 0:
        raise _too_precise()
    units = int(significant) * 10**scale
    return Amount(-units if sign else units)


def parse_json(value: object) -> Amount:
    """Read an amount from a value of JSON as `strict_json` reads it; raise `InvalidAmount`."""
    if isinstance(value, Number):
        return parse_number(value)
    if isinstance(value, str):
        return parse_text(value)
    raise InvalidAmount("wrong-type", "must be a number or a string")


def format_amount(amount: Amount) -> str:
    """Write an amount in canonical plain notation: no exponent, no trailing zeros, no "-0"."""
    # At least one digit before the point, after the sign if there is one.
    digits = f"{amount:010d}" if amount >= 0 else f"{amount:011d}"
    fraction = digits[-FRACTION_DIGITS:].rstrip("0")
    whole = digits[:-FRACTION_DIGITS]
    return f"{whole}.{fraction}" if fraction else whole


def _text_refusal(text: str) -> InvalidAmount:
    if not text.strip():
        return InvalidAmount("empty", "must not be empty")
    if _NOT_FINITE.fullmatch(text.strip()):
        return InvalidAmount("not-finite", "must be a finite number")
    decimal = _LONG_DECIMAL.fullmatch(text)
    whole, fraction = decimal.groups(default="") if decimal is not None else ("", "")
    if len(whole) > WHOLE_DIGITS:
        return _too_large()
    if fraction:  # with a short one it could be read
        return _too_precise()
    return InvalidAmount(
        "not-a-number",
        "must be a plain decimal number such as 12.5, without separators or exponent",
    )


def _too_large() -> InvalidAmount:
    return InvalidAmount(
        "too-large", f"must have at most {WHOLE_DIGITS} digits before the point (below 10^18)"
    )


def _too_precise() -> InvalidAmount:
    return InvalidAmount(
        "too-precise", f"must have at most {FRACTION_DIGITS} digits after the point"
    )
