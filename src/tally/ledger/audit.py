"""The audit: recompute every total from the entries, in whole units that never round, and compare.

All is read in one snapshot, so the audit may run while the ledger is in use. Memory is bounded by
the number of resets, which people make, and does not grow with entries or answers.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tally.ledger.database import Database
from tally.ledger.failures import unavailable_if_lost
from tally.ledger.history_audit import Stretches, check_moves
from tally.ledger.recomputation import Answers, Drift, Recomputation, check_correction, check_resets
from tally.ledger.schema import from_numeric

# Rows fetched at a time: about 10 MB, and more make it no faster.
_PAGE: Final = 20_000

_TOTAL: Final = "SELECT * FROM tally.total"
_RESETS: Final = "SELECT * FROM tally.reset ORDER BY id"
_MOVES: Final = "SELECT * FROM tally.move ORDER BY id"
_STRETCHES: Final = "SELECT * FROM tally.stretch ORDER BY last_id, size"
# The entries of a batch have one time: where another begins, so does another batch.
_ENTRIES: Final = (
    "SELECT id, value, sum_after, added_at,"
    " coalesce(added_at <> lag(added_at) OVER (ORDER BY id), false) AS begins_batch"
    " FROM tally.entry ORDER BY id"
)
_ANSWERS: Final = (
    "SELECT first_id, last_id, sum, count FROM tally.answer UNION ALL"
    " SELECT undone_by, undone_by, sum, count FROM tally.correction ORDER BY last_id"
)
# The first correction whose two entries are not each other's opposite; purged ones are not known.
_MISMATCH: Final = """
    SELECT c.entry_id, c.undone_by, c.value, undone.value AS undone, undo.value AS undo
      FROM tally.correction AS c
      LEFT JOIN tally.entry AS undone ON undone.id = c.entry_id
      LEFT JOIN tally.entry AS undo ON undo.id = c.undone_by
     WHERE undone.value <> -c.value OR undo.value <> c.value
     ORDER BY c.undone_by LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit did: how many entries it recomputed, and the first difference it met."""

    checked: int
    difference: str | None


async def audit(
    database: Database, progress: Callable[[int, int], None] = lambda checked, total: None
) -> Report:
    """Recompute the whole ledger, and stop at the first difference.

    Needs the owner's privileges. `progress` gets the numbers of entries checked and to check.
    Raises `Unavailable`.
    """
    connection = None
    try:
        with unavailable_if_lost():
            connection = await database.connect()
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await audit_within(connection, progress)
    finally:
        if connection is not None:
            connection.terminate()


async def audit_within(
    connection: Any,  # noqa: ANN401 - asyncpg is untyped
    progress: Callable[[int, int], None] = lambda checked, total: None,
) -> Report:
    """Audit what a transaction of the connection sees; after it, numerics come in whole units."""
    # Each numeric comes as text, from which units are made faster than from a Decimal.
    await connection.set_type_codec(
        "numeric", schema="pg_catalog", encoder=str, decoder=_units, format="text"
    )
    total = await connection.fetchrow(_TOTAL)
    resets = await connection.fetch(_RESETS)
    moves = await connection.fetch(_MOVES)
    if total is None:
        return Report(0, str(Drift("the number of rows in tally.total", 0, 1)))
    recomputed = Recomputation(total, resets)
    to_check = total["last_id"] - total["purged_through"]
    try:
        check_resets(total, resets)
        check_correction(await connection.fetchrow(_MISMATCH))
        answers = Answers(connection.cursor(_ANSWERS, prefetch=_PAGE), total)
        await answers.advance()
        # Answers whose entries are gone have nothing to be compared with.
        await answers.skip_through(total["purged_through"])
        stretches = Stretches(
            connection.cursor(_STRETCHES, prefetch=_PAGE), moves, total["purged_through"]
        )
        async for page in _pages(await connection.cursor(_ENTRIES)):
            for row in page:
                recomputed.enter(row["id"], row["value"], row["sum_after"])
                await stretches.enter(row["id"], row["sum_after"], row["added_at"])
                if row["begins_batch"]:
                    answers.begin_batch(row["id"])
                if answers.last_id == row["id"]:
                    await answers.compare(row["sum_after"], recomputed.count_after)
            progress(recomputed.checked, to_check)
        recomputed.close()
        await stretches.close()
        check_moves(moves, resets, total["purged_through"], recomputed.sums_before)
    except Drift as drift:
        return Report(recomputed.checked, str(drift))
    return Report(recomputed.checked, None)


async def _pages(cursor: Any) -> AsyncIterator[list[Any]]:  # noqa: ANN401
    while page := await cursor.fetch(_PAGE):
        yield page


def _units(text: str) -> int:
    """Read PostgreSQL's own text of a numeric, exactly."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > 9:  # noqa: PLR2004 - the digits that fit into a unit
        return from_numeric(Decimal(text))
    return int(whole + fraction.ljust(9, "0"))
