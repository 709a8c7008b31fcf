"""What history is read from: undone entries."""

from tally.ledger.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables and replace the functions that fill them."""
    run_sql(__file__)
