"""What is answered from what was read waits for a commit of its own."""

from tally.ledger.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Replace the functions and add what they need."""
    run_sql(__file__)
