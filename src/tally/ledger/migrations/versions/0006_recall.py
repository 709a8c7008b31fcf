"""Recalling many keys costs the same with and without statistics."""

from tally.ledger.migrations import run_sql

revision = "0006"
down_revision = "0004"


def upgrade() -> None:
    """Settle how the function finds its rows."""
    run_sql(__file__)
