"""What a value has to be. A predicate takes what was found, and says what is wrong with it."""

import re
from collections.abc import Callable, Collection
from typing import Any, Final

# The complaint is empty if nothing is wrong.
Predicate = Callable[[Any], str]
# How a complaint begins that says enough without what was found.
MISSING: Final = "missing"


def _predicate(holds: Callable[[Any], object], wanted: str) -> Predicate:
    return lambda found: "" if holds(found) else f"not {wanted}"


def equals(wanted: object) -> Predicate:
    """What a value means that is no predicate."""
    return _predicate(lambda found: found == wanted, show(wanted))


def at_least(least: int) -> Predicate:
    """A number; of a list, so many different items."""
    return _predicate(
        lambda found: (len(set(found)) if isinstance(found, list) else found or 0) >= least,
        f"at least {least}",
    )


def within(lowest: float, highest: float) -> Predicate:
    """A number; both ends belong to the range."""
    return _predicate(
        lambda found: found is not None and lowest <= found <= highest,
        f"between {lowest} and {highest}",
    )


def one_of(wanted: Collection[str]) -> Predicate:
    """A text that stands in a collection."""
    return _predicate(lambda found: found in wanted, f"one of {show(sorted(wanted))}")


def none_of(refused: Collection[str]) -> Predicate:
    """Any value but these; none is good too."""
    return _predicate(lambda found: found not in refused, "allowed")


def matches(pattern: re.Pattern[str], wanted: str) -> Predicate:
    """A text, or a list of texts that each do; `wanted` says what the pattern means."""
    return _predicate(
        lambda found: (
            found
            and all(pattern.search(it) for it in ([found] if isinstance(found, str) else found))
        ),
        wanted,
    )


def includes(wanted: Collection[str]) -> Predicate:
    """A list with all of these, whatever else is in it."""

    def complaint(found: Collection[str] | None) -> str:
        missing = sorted(set(wanted) - set(found or ()))
        return f"{MISSING}: {', '.join(missing)}" if missing else ""

    return complaint


def given(found: object) -> str:
    """Anything but an empty text or list, false or zero."""
    return "" if found else "not given"


def empty(found: object) -> str:
    """No item, or no list at all."""
    return "not empty" if found else ""


def show(found: object) -> str:
    """A value, as a person reads it."""
    if isinstance(found, list | tuple):
        return ", ".join(map(str, found)) or "none"
    return "none" if found is None or found == "" else str(found)
