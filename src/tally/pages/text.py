"""Numbers and times as pages show them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import Final

from markupsafe import Markup

_PLAIN_NUMBER: Final = re.compile(r"(-?)([0-9]+)(\.[0-9]+)?")
_WHOLE_GROUP: Final = re.compile(r"[0-9]{1,3}(?=(?:[0-9]{3})*$)")
_FRACTION_GROUP: Final = re.compile(r"\.?[0-9]{1,3}")
# CSS shows a minus, and hides the hyphen that a copy holds.
_MINUS: Final = Markup('<span class="minus"><span>-</span></span>')
# Characters that each size holds; short ones fit half a phone's width and never wrap.
_SIZES: Final = ((11, "short"), (18, "medium"), (27, "long"))
# The newest entries recur on every page; formatting them is most of a page's cost.
_REMEMBERED: Final = 4096
_MINUTE: Final = 60
_HOUR: Final = 3600


def groups(number: str) -> tuple[list[str], list[str]]:
    """Split "-1234.5678" into (["-1", "234"], [".567", "8"]), which join to the number again."""
    match = _PLAIN_NUMBER.fullmatch(number)
    if match is None:
        return [number], []
    sign, whole, fraction = match.groups(default="")
    first, *rest = _WHOLE_GROUP.findall(whole)
    return [sign + first, *rest], _FRACTION_GROUP.findall(fraction)


@lru_cache(maxsize=_REMEMBERED)
def amount(number: str | int, *, split: bool = False) -> Markup:
    """Write a number with its digits in threes, which only CSS sets apart.

    No separators, and a hyphen that CSS shows as a minus, so a copy is exact. Screen readers
    announce several parts as one number. `split` sets the fraction apart even in a number too short
    for groups, and where there is none.
    """
    plain = str(number)
    whole, fraction = groups(plain)
    first = _MINUS + whole[0][1:] if plain.startswith("-") else whole[0]
    simple = len(whole) == 1 and len(fraction) <= 1
    if simple and not split:
        content = Markup("{}{}").format(first, "".join(fraction))
    else:
        content = _spans("whole", [first, *whole[1:]]) + _spans("fraction", fraction)
    in_parts = plain.startswith("-") or not simple or (split and fraction)
    return Markup('<data class="amount{}" value="{}" translate="no"{}>{}</data>').format(
        "" if simple else f" {size(plain)}",
        plain,
        Markup(' role="img" aria-label="{}"').format(minus(plain)) if in_parts else "",
        content,
    )


def minus(number: str) -> str:
    """Write a number with a true minus, where no markup can show one."""
    return number.replace("-", "\N{MINUS SIGN}", 1)


def opposite(number: str) -> str:
    """Write a number with the other sign."""
    return number[1:] if number.startswith("-") else number if number == "0" else f"-{number}"


def places(numbers: Iterable[str]) -> str:
    """Name the class of a table whose split numbers align at the point."""
    most = max((len(number.partition(".")[2]) for number in numbers), default=0)
    return f"places-{-(-most // 3) * 3}"


def size(number: str) -> str:
    """Name a number's size, which sets its font in the readout and where it wraps."""
    return next((name for most, name in _SIZES if len(number) <= most), "huge")


@lru_cache(maxsize=_REMEMBERED)
def time(moment: datetime) -> Markup:
    """Write a moment in UTC to the second; the element's attribute has all of it.

    Raises `ValueError` for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone could mean any moment")
    utc = moment.astimezone(UTC)
    return Markup(
        '<time datetime="{}"><span>{:%Y-%m-%d}</span> <span>{:%H:%M:%S}</span></time>'
    ).format(utc.isoformat().replace("+00:00", "Z"), utc, utc)


def age(behind: float) -> str:
    """Say how many seconds what a standby shows may be behind; the script writes the same."""
    unit = _HOUR if behind >= _HOUR else _MINUTE if behind >= _MINUTE else 1
    most = duration(ceil(behind / unit) * unit)
    said = "up to date" if behind < 1 else f"up to {most} behind"
    return f"Read from a standby, which is {said}."


def duration(seconds: float) -> str:
    """Write a number of seconds in the largest unit that fits, rounded down."""
    whole = int(seconds)
    for unit_seconds, unit in ((_HOUR, "hour"), (_MINUTE, "minute")):
        if whole >= unit_seconds:
            return _counted(whole // unit_seconds, unit)
    return _counted(whole, "second")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _spans(kind: str, parts: list[str]) -> Markup:
    spans = Markup("").join(Markup("<span>{}</span>").format(part) for part in parts)
    return Markup('<span class="{}">{}</span>').format(kind, spans)
