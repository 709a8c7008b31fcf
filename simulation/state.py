"""The ledger's rows, as the model keeps them."""

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final, NamedTuple

# A table's name and a row's primary key.
Key = tuple[str, Any]
TOTAL: Final[Key] = ("total", True)

_EXACT: Final = Context(prec=100, traps=[Inexact, InvalidOperation])


def plus(one: Decimal, other: Decimal) -> Decimal:
    """Add exactly."""
    return _EXACT.add(one, other)


class Total(NamedTuple):
    sum: Decimal = Decimal(0)
    count: int = 0
    last_id: int = 0
    cleared_through: int = 0


class Entry(NamedTuple):
    value: Decimal
    sum_after: Decimal


class Answer(NamedTuple):
    body: str
    first_id: int
    last_id: int
    sum: Decimal
    count: int


class Writer(NamedTuple):
    """`before` is the total that its last batch found; None where that was given up."""

    batch: int = 0
    before: Total | None = None


class Reset(NamedTuple):
    sum: Decimal
    count: int
    cleared_from: int
    cleared_through: int
    at: float
    key: str
    undone_at: float | None = None
    undone_after: int | None = None


class EmptyReset(NamedTuple):
    at: float
