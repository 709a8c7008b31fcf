"""The ledger: entries, the total, resets, answers, writers, and the only ways to change them."""

import sqlalchemy as sa
from alembic import op

from tally.ledger.migrations import run_sql

revision = "0001"
down_revision = None

_VALUE = "{0} > -1e18 AND {0} < 1e18 AND scale({0}) <= 9"
_SUM = "{0} > -1e29 AND {0} < 1e29 AND scale({0}) <= 9"


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "entry",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("value", sa.Numeric, nullable=False),
        sa.Column("sum_after", sa.Numeric, nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="entry_pkey"),
        sa.CheckConstraint("id > 0", name=op.f("entry_id")),
        sa.CheckConstraint(_VALUE.format("value"), name=op.f("entry_value")),
        sa.CheckConstraint(_SUM.format("sum_after"), name=op.f("entry_sum_after")),
        schema="tally",
    )
    op.create_table(
        "total",
        sa.Column("only", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("sum", sa.Numeric, server_default=sa.text("0"), nullable=False),
        sa.Column("count", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("last_id", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("cleared_through", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("purged_through", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("purged_sum", sa.Numeric, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("only", name="total_pkey"),
        sa.CheckConstraint('"only"', name=op.f("total_only")),
        sa.CheckConstraint("count = last_id - cleared_through", name=op.f("total_count")),
        sa.CheckConstraint(
            "0 <= purged_through AND purged_through <= cleared_through"
            " AND cleared_through <= last_id",
            name=op.f("total_order"),
        ),
        sa.CheckConstraint(_SUM.format("sum"), name=op.f("total_sum")),
        sa.CheckConstraint(_SUM.format("purged_sum"), name=op.f("total_purged_sum")),
        schema="tally",
        postgresql_with={"fillfactor": "10"},
    )
    op.execute("INSERT INTO tally.total DEFAULT VALUES")
    op.create_table(
        "reset",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("sum", sa.Numeric, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("cleared_from", sa.BigInteger, nullable=False),
        sa.Column("cleared_through", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True)),
        sa.Column("undone_after", sa.BigInteger),
        sa.Column("key", sa.Uuid),
        sa.PrimaryKeyConstraint("id", name="reset_pkey"),
        sa.UniqueConstraint("key", name="reset_key_key"),
        sa.CheckConstraint("id > 0", name=op.f("reset_id")),
        sa.CheckConstraint(
            "count = cleared_through - cleared_from AND count >= 0", name=op.f("reset_count")
        ),
        sa.CheckConstraint(
            "(undone_at IS NULL) = (undone_after IS NULL)", name=op.f("reset_undone")
        ),
        sa.CheckConstraint(_SUM.format("sum"), name=op.f("reset_sum")),
        schema="tally",
    )
    op.create_table(
        "answer",
        sa.Column("key", sa.Uuid, nullable=False),
        sa.Column("body", sa.Uuid, nullable=False),
        sa.Column("first_id", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("sum", sa.Numeric, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="answer_pkey"),
        sa.CheckConstraint(_SUM.format("sum"), name=op.f("answer_sum")),
        schema="tally",
    )
    op.create_table(
        "writer",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("batch", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("before_id", sa.BigInteger),
        sa.Column("before_sum", sa.Numeric),
        sa.Column("before_count", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="writer_pkey"),
        schema="tally",
        postgresql_with={"fillfactor": "50"},
    )
    run_sql(__file__)
