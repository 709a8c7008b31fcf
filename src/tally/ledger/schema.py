"""The ledger's tables, declared once; migrations change the database to match."""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Index,
    MetaData,
    Numeric,
    Table,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    text,
)

from tally.amount import FRACTION_DIGITS, Amount

# The newest migration. Here, and not asked of Alembic, so that a service need not import it.
REVISION: Final = "0008"
# The greatest that a bigint holds.
MAX_ID: Final = 2**63 - 1
metadata = MetaData(
    schema="tally",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s",
    },
)

# The default context silently rounds at 28 digits; this one holds any sum and refuses to round.
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])


def to_numeric(amount: Amount) -> Decimal:
    """Turn 10^-9 units into the number they stand for, exactly."""
    return _EXACT.scaleb(Decimal(amount), -FRACTION_DIGITS)


def from_numeric(number: Decimal) -> Amount:
    """Turn a number into 10^-9 units, exactly; raise `decimal.Inexact` where that can't be."""
    return Amount(int(_EXACT.to_integral_exact(_EXACT.scaleb(number, FRACTION_DIGITS))))


def array_literal(items: Iterable[str]) -> str:
    """Write an array as PostgreSQL's text; the items are numbers or hexadecimal."""
    return "{" + ",".join(items) + "}"


class AmountType(TypeDecorator[Amount]):
    """PostgreSQL's `numeric` on one side, whole 10^-9 units on the other; exact both ways."""

    impl = Numeric
    cache_ok = True

    def process_bind_param(self, value: Amount | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else to_numeric(value)

    def process_result_value(self, value: Decimal | None, dialect: Dialect) -> Amount | None:
        return None if value is None else from_numeric(value)


def _value_check(column: str) -> CheckConstraint:
    # NaN sorts above every number, so the upper bound refuses NaN and both infinities as well.
    return CheckConstraint(
        f"{column} > -1e18 AND {column} < 1e18 AND scale({column}) <= {FRACTION_DIGITS}", column
    )


def _sum_check(column: str) -> CheckConstraint:
    return CheckConstraint(
        f"{column} > -1e29 AND {column} < 1e29 AND scale({column}) <= {FRACTION_DIGITS}", column
    )


def _moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _count(name: str, default: str | None = None) -> Column[int]:
    server_default = None if default is None else text(default)
    return Column(name, BigInteger, nullable=False, server_default=server_default)


# Ids are gapless and in commit order. `sum_after` is the total right after the entry, as its
# sender was told, so each entry is its own audit record and history can be drawn without summing.
entry = Table(
    "entry",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("value", AmountType, nullable=False),
    Column("sum_after", AmountType, nullable=False),
    _moment("added_at"),
    CheckConstraint("id > 0", "id"),
    _value_check("value"),
    _sum_check("sum_after"),
)

# One row, which every writer locks first: all changes to the ledger are in one order.
# Entries up to `cleared_through` are cleared; those up to `purged_through` are gone, and
# `purged_sum` is the last one's `sum_after`, from which the audit goes on.
total = Table(
    "total",
    metadata,
    Column("only", Boolean, primary_key=True, server_default=text("true")),
    Column("sum", AmountType, nullable=False, server_default=text("0")),
    _count("count", "0"),
    _count("last_id", "0"),
    _count("cleared_through", "0"),
    _count("purged_through", "0"),
    Column("purged_sum", AmountType, nullable=False, server_default=text("0")),
    CheckConstraint('"only"', "only"),
    CheckConstraint("count = last_id - cleared_through", "count"),
    CheckConstraint(
        "0 <= purged_through AND purged_through <= cleared_through AND cleared_through <= last_id",
        "order",
    ),
    _sum_check("sum"),
    _sum_check("purged_sum"),
    # Room on its page for new versions of the row, so that moving the total touches no index.
    postgresql_with={"fillfactor": "10"},
)

# A reset cleared the entries after `cleared_from` up to `cleared_through`. Undoing it gave them
# back right after the entry `undone_after`.
reset = Table(
    "reset",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("sum", AmountType, nullable=False),
    _count("count"),
    _count("cleared_from"),
    _count("cleared_through"),
    _moment("at"),
    _moment("undone_at", nullable=True),
    Column("undone_after", BigInteger, nullable=True),
    Column("key", Uuid, nullable=True, unique=True),
    CheckConstraint("id > 0", "id"),
    CheckConstraint("count = cleared_through - cleared_from AND count >= 0", "count"),
    CheckConstraint("(undone_at IS NULL) = (undone_after IS NULL)", "undone"),
    _sum_check("sum"),
)

# The keys of resets that found nothing to clear, of which no reset is made.
empty_reset = Table(
    "empty_reset",
    metadata,
    Column("key", Uuid, primary_key=True),
    _moment("at"),
)

# Entries that were undone, each by the entry of the opposite value `undone_by`, with the answer to
# that: undoing the entry again gets it again.
correction = Table(
    "correction",
    metadata,
    Column("entry_id", BigInteger, primary_key=True, autoincrement=False),
    Column("undone_by", BigInteger, nullable=False, unique=True),
    Column("value", AmountType, nullable=False),
    Column("sum", AmountType, nullable=False),
    _count("count"),
    CheckConstraint("0 < entry_id AND entry_id < undone_by", "order"),
    _value_check("value"),
    _sum_check("sum"),
)

# What moved the total without an entry: each reset and each undo of one, in order, right after the
# entry `after_id`. Triggers note them.
move = Table(
    "move",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("reset_id", BigInteger, nullable=False),
    Column("undo", Boolean, nullable=False),
    _count("after_id"),
    _count("count"),
    Column("value", AmountType, nullable=False),
    Column("sum_after", AmountType, nullable=False),
    _moment("at"),
    UniqueConstraint("reset_id", "undo"),
    _sum_check("value"),
    _sum_check("sum_after"),
    Index(None, "after_id", "id"),
)

# What happened in each stretch of `size` ids that ends with `last_id`, from right after the entry
# before it. A trigger completes them with the last entry of each. Times never go back here: each is
# the latest so far, whatever clocks said.
stretch = Table(
    "stretch",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, primary_key=True, autoincrement=False),
    *(
        column
        for which in ("first", "low", "high")
        for column in (
            _moment(f"{which}_at"),
            _count(f"{which}_after"),
            _count(f"{which}_move"),
            Column(f"{which}_sum", AmountType, nullable=False),
        )
    ),
    _moment("last_at"),
    Column("last_sum", AmountType, nullable=False),
    *(_sum_check(f"{which}_sum") for which in ("first", "low", "high", "last")),
)

# The first answer to each Idempotency-Key, kept for ever. Both key and body are kept as 128-bit
# digests: fixed in size, and nothing a client sent can be read out of them.
answer = Table(
    "answer",
    metadata,
    Column("key", Uuid, primary_key=True),
    Column("body", Uuid, nullable=False),
    _count("first_id"),
    _count("last_id"),
    Column("sum", AmountType, nullable=False),
    _count("count"),
    _sum_check("sum"),
)

# One row for each adder that ever started, with its last batch: `before_*` is the total that the
# batch found, or null when the batch was given up. After a lost connection this row tells
# whether the batch was committed.
writer = Table(
    "writer",
    metadata,
    Column("id", Uuid, primary_key=True),
    _count("batch", "0"),
    Column("before_id", BigInteger, nullable=True),
    Column("before_sum", AmountType, nullable=True),
    Column("before_count", BigInteger, nullable=True),
    postgresql_with={"fillfactor": "50"},
)
