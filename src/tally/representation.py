"""How what the ledger holds is written, for answers, events, pages and the command line.

Amounts are exact text. Times stay times, for a page to format, until `in_json`.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from tally.amount import Amount, format_amount
from tally.ledger.corrections import Undone
from tally.ledger.history import History, Point
from tally.ledger.listing import Earlier, Entry, Move, Row, Rows
from tally.ledger.reader import Page, Total
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


def undone(done: Undone) -> Shown:
    """Write the entry that undid another."""
    return {
        "id": done.id,
        "value": format_amount(done.value),
        "sum": format_amount(done.sum),
        "count": done.count,
        "undoes": done.undoes,
    }


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
    """Write an entry; its time stays a time. Says which entry it undoes, and which undid it."""
    shown: Shown = {
        "id": found.id,
        "value": format_amount(found.value),
        "sum_after": format_amount(found.sum_after),
        "added_at": found.added_at,
    }
    if found.undoes is not None:
        shown["undoes"] = found.undoes
    if found.undone_by is not None:
        shown["undone_by"] = found.undone_by
    return shown


def move(found: Move) -> Shown:
    """Write a reset or an undo as it moved the total; its times stay times."""
    shown: Shown = {
        "id": found.reset_id,
        "after_id": found.after_id,
        "count": found.count,
        "value": format_amount(found.value),
        "sum_after": format_amount(found.sum_after),
        "at": found.at,
    }
    return shown if found.undo else shown | {"undone_at": found.undone_at}


def row(found: Row, cleared_through: int) -> Shown:
    """Write a row of the list; `kind` says of what."""
    match found:
        case Entry():
            return {"kind": "entry", **entry(found), "cleared": found.id <= cleared_through}
        case Move():
            return {"kind": "undo" if found.undo else "reset", **move(found)}
        case Earlier():
            return {
                "kind": "earlier",
                "after_id": found.after_id,
                "value": format_amount(found.value),
                "sum_after": format_amount(found.sum_after),
            }


def changes(rows: Rows, now: Total) -> Shown:
    """Write a page of the list; `now` is the total of the same moment."""
    shown = (row(each, now.cleared_through) for each in rows.rows)
    return {"changes": [in_json(each) for each in shown]} | age(now.behind)


def history(now: Total, found: History, moves: Iterable[Move]) -> Shown:
    """Write a history; `now` is the total of its moment. Its times are text already."""
    known = found.known
    points = [_point(point) for point in found.points]
    shown = {
        "from": found.since,
        "to": found.until,
        "start": format_amount(found.before if found.start is None else found.start.sum),
    }
    return (
        age(now.behind)
        | in_json(shown)
        | {
            "lowest": _point(min(known, key=lambda point: point.sum)) if known else None,
            "highest": _point(max(known, key=lambda point: point.sum)) if known else None,
            "points": points,
            "moves": [in_json(row(move, 0)) for move in moves],
        }
    )


def _point(point: Point) -> Shown:
    return in_json({"at": point.at, "after_id": point.id, "sum": format_amount(point.sum)})


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
