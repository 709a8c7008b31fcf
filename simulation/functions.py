"""The ledger's database functions, as `tally.ledger.migrations` declares them, line for line.

`tests/simulation/test_functions.py` calls both in the same order and compares.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg

from simulation.state import (
    TOTAL,
    Answer,
    EmptyReset,
    Entry,
    Reset,
    Total,
    Writer,
    plus,
)
from simulation.transaction import Transaction

MAX_BATCH: Final = 10_000
MAX_VALUE: Final = Decimal(10) ** 18
MAX_SUM: Final = Decimal(10) ** 29

Row = dict[str, Any]


def refused(kind: type[Exception], message: str, **fields: str) -> Exception:
    """Make an error of asyncpg's as the server would report it."""
    error = kind(message)
    fields = {"severity": "ERROR", "severity_en": "ERROR"} | fields
    for name, value in fields.items():
        setattr(error, name, value)
    return error


class Functions:
    """Each takes a transaction and the function's arguments, and returns its rows.

    `max_sum` is where sums leave their range: below PostgreSQL's, so that a schedule gets there.
    """

    def __init__(self, max_sum: Decimal = MAX_SUM) -> None:
        self._max_sum = max_sum

    async def register_writer(self, tx: Transaction, writer: str) -> list[Row]:
        key = ("writer", writer)
        if tx.read(key) is None:
            await tx.lock(key)
            if tx.read(key) is None:  # looked at again, once nobody else was at it
                tx.write(key, Writer())
            else:
                tx.unlock(key)
        return [{"register_writer": None}]

    async def add_batch(  # noqa: PLR0917 - as declared
        self,
        tx: Transaction,
        writer: str,
        batch: int,
        values: str,
        keys: str | None,
        bodies: str | None,
        firsts: str | None,
        lasts: str | None,
    ) -> list[Row]:
        added = [Decimal(value) for value in items(values)]
        if not 1 <= len(added) <= MAX_BATCH:
            raise refused(asyncpg.InvalidParameterValueError, "a batch has 1 to 10000 values")
        await tx.lock(TOTAL)
        was: Total = tx.read(TOTAL)
        if not await self._move_writer(tx, writer, batch, was):
            return []
        total = was
        for value in added:
            total = total._replace(
                sum=plus(total.sum, value), count=total.count + 1, last_id=total.last_id + 1
            )
            if value.copy_abs() >= MAX_VALUE or total.sum.copy_abs() >= self._max_sum:
                raise refused(asyncpg.CheckViolationError, "out of range", table_name="entry")
            tx.write(("entry", total.last_id), Entry(value, total.sum))
        given = [items(text) for text in (keys, bodies, firsts, lasts)]
        self._keep_answers(tx, was, len(added), given)
        tx.write(TOTAL, total)
        return [_before(was)]

    async def _move_writer(
        self, tx: Transaction, writer: str, batch: int, before: Total | None
    ) -> bool:
        """The fence: update the writer's row if this batch is its next."""
        if not self._is_next(tx, writer, batch):
            return False
        key = ("writer", writer)
        await tx.lock(key)
        if not self._is_next(tx, writer, batch):  # looked at again, once the row was free
            tx.unlock(key)
            return False
        tx.write(key, Writer(batch, before))
        return True

    def _is_next(self, tx: Transaction, writer: str, batch: int) -> bool:
        row: Writer | None = tx.read(("writer", writer))
        return row is not None and row.batch == batch - 1

    def _keep_answers(
        self, tx: Transaction, was: Total, size: int, given: Sequence[list[str]]
    ) -> None:
        kept, previous = 0, 0
        for key, body, first, last in zip(*given, strict=False):
            fits = previous < int(first) <= int(last) <= size
            previous = int(last)
            if not fits:
                continue
            if tx.read(("answer", key)) is not None:
                raise refused(
                    asyncpg.UniqueViolationError,
                    "duplicate key value violates unique constraint",
                    constraint_name="answer_pkey",
                )
            kept += 1
            tx.write(
                ("answer", key),
                Answer(
                    body,
                    was.last_id + int(first),
                    was.last_id + previous,
                    tx.read(("entry", was.last_id + previous)).sum_after,
                    was.count + previous,
                ),
            )
        if kept != max(map(len, given)):
            raise refused(
                asyncpg.InvalidParameterValueError,
                "each key has a body and a range of the batch after that of the key before",
            )

    async def settle_batch(self, tx: Transaction, writer: str, batch: int) -> list[Row]:
        if not await self._move_writer(tx, writer, batch, None):
            self.confirm(tx)
        row: Writer | None = tx.read(("writer", writer))
        if row is None or row.batch != batch:
            return []
        return [_before(row.before)]

    async def recall(self, tx: Transaction, keys: str) -> list[Row]:
        found = [
            self._recalled(tx, key, answer)
            for key in items(keys)
            if (answer := tx.read(("answer", key))) is not None
        ]
        if found:
            self.confirm(tx)
        return found

    @staticmethod
    def _recalled(tx: Transaction, key: str, answer: Answer) -> Row:
        entry = tx.read(("entry", answer.first_id))
        value = None if entry is None else entry.value
        body = {"body": uuid.UUID(answer.body)}
        return {"key": uuid.UUID(key)} | answer._asdict() | body | {"value": value}

    def confirm(self, tx: Transaction) -> None:
        tx.confirms = True

    async def reset_total(self, tx: Transaction, key: str) -> list[Row]:
        await tx.lock(TOTAL)
        was: Total = tx.read(TOTAL)
        for number, made in resets(tx):
            if made.key == key:
                self.confirm(tx)
                return [reset_row(number, made) | {"replayed": True}]
        if (empty := tx.read(("empty_reset", key))) is not None:
            self.confirm(tx)
            return [_empty_row(empty, replayed=True)]
        now = tx.now()
        if was.count == 0:
            tx.write(("empty_reset", key), EmptyReset(now))
            return [_empty_row(EmptyReset(now), replayed=False)]
        tx.write(TOTAL, was._replace(sum=Decimal(0), count=0, cleared_through=was.last_id))
        number = 1 + len(resets(tx))
        made = Reset(was.sum, was.count, was.cleared_through, was.last_id, now, key)
        tx.write(("reset", number), made)
        return [reset_row(number, made) | {"replayed": False}]

    async def undo_reset(self, tx: Transaction, number: int) -> list[Row]:
        await tx.lock(TOTAL)
        was: Total = tx.read(TOTAL)
        standing = [(it, made) for it, made in resets(tx) if made.undone_at is None]
        if not standing or standing[-1][0] != number:
            raise refused(
                asyncpg.UnknownPostgresError,
                f"reset {number} is not the newest reset not yet undone",
                sqlstate="TA001",
            )
        _, made = standing[-1]
        total = was._replace(
            sum=plus(was.sum, made.sum),
            count=was.count + made.count,
            cleared_through=made.cleared_from,
        )
        if total.sum.copy_abs() >= self._max_sum:  # copied, for abs() rounds
            raise refused(asyncpg.CheckViolationError, "out of range", table_name="total")
        tx.write(TOTAL, total)
        undone = made._replace(undone_at=tx.now(), undone_after=was.last_id)
        tx.write(("reset", number), undone)
        return [reset_row(number, undone) | {"undone_at": moment(undone.undone_at)}]


def items(literal: str | None) -> list[str]:
    """Read an array literal of plain items."""
    inner = (literal or "{}")[1:-1]
    return inner.split(",") if inner else []


def resets(tx: Transaction) -> list[tuple[int, Reset]]:
    """List all resets by their ids, which have no gaps."""
    found: list[tuple[int, Reset]] = []
    while (made := tx.read(("reset", len(found) + 1))) is not None:
        found.append((len(found) + 1, made))
    return found


def _before(was: Total | None) -> Row:
    return {
        "before_id": None if was is None else was.last_id,
        "before_sum": None if was is None else was.sum,
        "before_count": None if was is None else was.count,
    }


def reset_row(number: int, made: Reset) -> Row:
    return {"id": number, "sum": made.sum, "count": made.count, "at": moment(made.at)}


def _empty_row(empty: EmptyReset, *, replayed: bool) -> Row:
    made = Reset(Decimal(0), 0, 0, 0, empty.at, "")
    return reset_row(0, made) | {"replayed": replayed}


def moment(seconds: float | None) -> datetime | None:
    """Say when that was on the clock of the schedule."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
