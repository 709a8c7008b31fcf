"""History: what moved the total, stretches to read it from, and undone entries."""

from tally.ledger.migrations import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the tables, fill them from what is there, and keep them filled."""
    run_sql(__file__)
