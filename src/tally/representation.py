"""How what the ledger holds is written, for answers, events, pages and the command line.

Amounts are exact text. Times stay times, for a page to format, until `in_json`.
"""

from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from tally.amount import Amount, format_amount
from tally.ledger.reader import Entry, Page, Total
from tally.ledger.resets import Reset
from tally.ledger.writer import Added

Shown = dict[str, object]

encode: Final = msgspec.json.Encoder().encode


def added(done: Added, value: Amount | None = None) -> Shown:
    """Write what an add did: of a batch, or of one value where that is given."""
    shown: Shown = (
        {"first_id": done.first_id, "last_id": done.last_id}
        if value is None
        else {"id": done.first_id, "value": format_amount(value)}
    )
    shown["sum"] = format_amount(done.sum)
    shown["count"] = done.count
    return shown


def total(found: Total) -> Shown:
    """Write a total; one that was read from a standby says how old it may be."""
    return {
        "sum": format_amount(found.sum),
        "count": found.count,
        "last_id": found.last_id,
    } | age(found.behind)


def age(behind: float | None) -> Shown:
    """Write how many seconds what was read may be behind; nothing where it is not a standby's."""
    return {} if behind is None else {"behind_seconds": round(behind, 3)}


def page(found: Page) -> Shown:
    """Write a page of entries."""
    return {"entries": [in_json(entry(each)) for each in found.entries]} | age(found.behind)


@lru_cache(maxsize=1)
def total_json(found: Total) -> bytes:
    """Encode a total; those who share a read share its encoding."""
    return encode(total(found))


def entry(found: Entry) -> Shown:
    """Write an entry; its time stays a time."""
    return {
        "id": found.id,
        "value": format_amount(found.value),
        "sum_after": format_amount(found.sum_after),
        "added_at": found.added_at,
    }


def reset(found: Reset) -> Shown:
    """Write a reset; its times stay times."""
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
