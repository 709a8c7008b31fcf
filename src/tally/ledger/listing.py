"""The list: entries, resets and undos, newest first; each row follows from the one below it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.schema import AmountType, correction, entry

# Of the resets and undos that came right after one entry, so many are listed.
MOVES: Final = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One value, and the total right after it.

    `undoes` is the entry of which it is the opposite, and `undone_by` the one that is its own.
    """

    id: int
    value: Amount
    sum_after: Amount
    added_at: datetime
    undoes: int | None = None
    undone_by: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A reset, or the undo of one, right after the entry `after_id`; `count` entries were moved.

    `undone_at` is when a reset was undone.
    """

    id: int
    reset_id: int
    undo: bool
    after_id: int
    count: int
    value: Amount
    sum_after: Amount
    at: datetime
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The resets and undos right after an entry that are not listed: what they did together."""

    after_id: int
    value: Amount
    sum_after: Amount


Row = Entry | Move | Earlier


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of the list; `older` where more rows are below it."""

    rows: list[Row]
    through: int
    older: bool


_undoing, _undone = correction.alias("undoing"), correction.alias("undone")
ENTRIES: Final = (
    select(
        entry.c.id,
        entry.c.value,
        entry.c.sum_after,
        entry.c.added_at,
        _undoing.c.entry_id.label("undoes"),
        _undone.c.undone_by,
    )
    .outerjoin(_undoing, _undoing.c.undone_by == entry.c.id)
    .outerjoin(_undone, _undone.c.entry_id == entry.c.id)
)
_MOVE: Final = """
    SELECT m.id, m.reset_id, m.undo, m.after_id, m.count, m.value, m.sum_after, m.at,
           (SELECT u.at FROM tally.move AS u
             WHERE u.reset_id = m.reset_id AND u.undo AND NOT m.undo) AS undone_at
"""
# The newest few of each place; more than those are not read.
_MOVES: Final = text(
    f"""{_MOVE}
      FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS place (id)
     CROSS JOIN LATERAL (SELECT * FROM tally.move WHERE after_id = place.id
                          ORDER BY id DESC LIMIT :most) AS m
     ORDER BY m.id DESC
    """  # noqa: S608 - of constants
).columns(value=AmountType, sum_after=AmountType)
_NEWEST: Final = text(
    f"""{_MOVE}
      FROM tally.move AS m WHERE m.after_id >= :first AND m.after_id <= :last
     ORDER BY m.after_id DESC, m.id DESC LIMIT :most
    """
).columns(value=AmountType, sum_after=AmountType)
_LAST_RESET: Final = text(
    f"{_MOVE} FROM tally.move AS m WHERE NOT m.undo ORDER BY m.id DESC LIMIT 1"
).columns(value=AmountType, sum_after=AmountType)


async def read_rows(
    connection: AsyncConnection, through: int, limit: int, *, moved: bool = True
) -> Rows:
    """Read `limit` entries from `through` down, with the moves after each where any `moved`."""
    found = await connection.execute(
        ENTRIES.where(entry.c.id <= through).order_by(entry.c.id.desc()).limit(limit + 1)
    )
    entries = [Entry(*row) for row in found]
    older = len(entries) > limit
    del entries[limit:]
    first = entries[-1].id - (not older) if entries else through
    moves = defaultdict(list)
    given = {"first": first, "last": through, "most": MOVES + 1}
    for row in await connection.execute(_MOVES, given) if moved else ():
        moves[row.after_id].append(Move(*row))
    rows: list[Row] = []
    for one in entries:
        rows += [*_listed(moves.pop(one.id, []), one.sum_after), one]
    # What came before the first entry that is left, or where all were purged.
    for rest in moves.values():
        rows += rest[:MOVES]
    return Rows(rows, through, older)


def _listed(moves: list[Move], before: Amount) -> list[Row]:
    """Give the moves after an entry, and what those did that are too many to list."""
    if len(moves) <= MOVES:
        return list(moves)
    oldest = moves[MOVES - 1]
    begun = Amount(oldest.sum_after - oldest.value)
    return [*moves[:MOVES], Earlier(oldest.after_id, Amount(begun - before), begun)]


async def read_moves(connection: AsyncConnection, first: int, last: int, most: int) -> list[Move]:
    """Read the newest resets and undos that came right after the entries first to last."""
    given = {"first": first, "last": last, "most": most}
    return [Move(*row) for row in await connection.execute(_NEWEST, given)]


async def read_last_reset(connection: AsyncConnection) -> Move | None:
    """Read the newest reset there was."""
    row = (await connection.execute(_LAST_RESET)).one_or_none()
    return None if row is None else Move(*row)
