"""Functions that refuse what no service sends; resets of nothing; who keeps the total is ended."""

from tally.ledger.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Replace the functions and add what they need."""
    run_sql(__file__)
