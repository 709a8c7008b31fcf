"""What is answered from what was read waits for a commit of its own."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Replace the functions and add what they need."""
    statements = Path(__file__).with_suffix(".sql").read_text()
    # Past SQLAlchemy, which prepares what it sends: PostgreSQL prepares one statement at a time.
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(statements))
