"""Times and ranges of time that a query asks for (RFC 3339)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from tally.ledger.reader import Range
from tally.ledger.recent import SPANS
from tally.web.problem import refused

RANGE: Final = ("range", "from", "to")
# A plus in a query is read as a space. Without a zone it is UTC, as a browser's own field sends it.
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"([Zz]|[-+ ][0-9]{2}:[0-9]{2})?"
)


def read_time(parameters: Mapping[str, str], name: str) -> datetime | None:
    """Read a time, None where none is given; raise `Problem` for what is none."""
    text = parameters.get(name)
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    if match is not None:
        day, minute, second, zone = match.groups(default="")
        zone = "+00:00" if zone in ("", "Z", "z") else zone.replace(" ", "+")
        try:
            return datetime.fromisoformat(f"{day}T{minute}{second}{zone}").astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise refused("invalid-time", f"{name} must be a time such as 2026-11-24T12:00:00Z", name)


def read_range(parameters: Mapping[str, str]) -> Range:
    """Read `range`, or `from` and `to`; raise `Problem`."""
    span = parameters.get("range")
    since, until = read_time(parameters, "from"), read_time(parameters, "to")
    if span is not None and span not in SPANS:
        raise refused("out-of-range", f"range must be one of {', '.join(SPANS)}", "range")
    if span is not None and (since or until):
        raise refused("invalid-range", "give either range, or from and to", "range")
    if since is not None and until is not None and since >= until:
        raise refused("invalid-range", "from must be before to", "from")
    return Range(span or "all", since, until)
