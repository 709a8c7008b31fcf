"""Importing rows that have ids of their own: each counts once, in whatever file it stands.

So a file that grew counts only its new rows.
"""

from collections.abc import Iterator

from tally.amount import format_amount
from tally.files.kept import KeptRow, KeptRows
from tally.ledger.database import Database
from tally.ledger.importer import Counted, CountedOtherwise, Keyed, batch_keys
from tally.ledger.replay import recall
from tally.ledger.writer import MAX_BATCH_VALUES, Key


async def leave_out_counted(database: Database, rows: KeptRows, digest: str, label: str) -> Counted:
    """Leave out of the rows those that are counted, and tell how many they are.

    Raises `CountedOtherwise` for a row whose id was counted with another value, and for a file
    that was counted without the ids of its rows, whose `digest` is given.
    """
    [(first, _)] = batch_keys([[]], digest, label)
    if await recall(database, [first.key]):
        raise CountedOtherwise("this file was counted before, without the ids of its rows")
    counted = Counted()
    for batch in rows.batches(MAX_BATCH_VALUES):
        keys = {_key(row, label): row for row in batch}
        found = await recall(database, [key.key for key in keys])
        known = [(key, row) for key, row in keys.items() if key.key in found]
        for key, (line, amount, row_id) in known:
            answer = found[key.key]
            if answer.body.hex != key.body:
                was = "another value" if answer.value is None else format_amount(answer.value)
                raise CountedOtherwise(
                    f"line {line}: the id {row_id!r} was counted with {was} (entry"
                    f" {answer.first_id}), and has {format_amount(amount)} here"
                )
            counted.take([amount], answer.last_id)
        rows.leave_out(row for _, row in known)
    return counted


def row_keys(rows: KeptRows, label: str) -> Iterator[list[Keyed]]:
    """Give each row its key, many at a time; a label makes the same ids count once more."""
    for batch in rows.batches(MAX_BATCH_VALUES):
        yield [(_key(row, label), [row[1]]) for row in batch]


def _key(row: KeptRow, label: str) -> Key:
    _, amount, row_id = row
    # With its length, so that no label and id look like another label and id.
    return Key.of(f"row {len(label)} {label} {row_id}", [amount], batch=False)
