"""How what the ledger holds is written, in JSON and for pages: amounts as exact text."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from tally.amount import format_amount
from tally.ledger.database import Unavailable
from tally.ledger.reader import Entry, Total
from tally.ledger.resets import Reset

Shown = dict[str, object]


def total(found: Total) -> Shown:
    """Write a total; one that was read from a standby says how old it may be."""
    shown: Shown = {
        "sum": format_amount(found.sum),
        "count": found.count,
        "last_id": found.last_id,
    }
    if found.behind is not None:
        shown["behind_seconds"] = round(found.behind, 3)
    return shown


async def total_or_none(read: Callable[[], Awaitable[Total]]) -> Shown | None:
    """Read a total for a page; None while the database is away, which the pages say plainly."""
    try:
        return total(await read())
    except Unavailable:
        return None


def entry(found: Entry) -> Shown:
    """Write an entry; its time stays a time, for a page to format."""
    return {
        "id": found.id,
        "value": format_amount(found.value),
        "sum_after": format_amount(found.sum_after),
        "added_at": found.added_at,
    }


def reset(found: Reset) -> Shown:
    """Write a reset; its times stay times, for a page to format."""
    return {
        "id": found.id,
        "sum": format_amount(found.sum),
        "count": found.count,
        "at": found.at,
        "undone_at": found.undone_at,
    }


def in_json(shown: Shown) -> Shown:
    """Write times as text: UTC, always with six digits of the second."""
    return {
        name: value.isoformat(timespec="microseconds").replace("+00:00", "Z")
        if isinstance(value, datetime)
        else value
        for name, value in shown.items()
    }
