"""A batch costs less: what has no key pays nothing for those that have one."""

from tally.ledger.migrations import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Replace the function that adds."""
    run_sql(__file__)
