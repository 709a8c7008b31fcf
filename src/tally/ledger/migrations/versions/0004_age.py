"""A standby can tell how old what it shows may be."""

from tally.ledger.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the function."""
    run_sql(__file__)
