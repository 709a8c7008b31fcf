"""Alembic's scripts."""

from pathlib import Path
from typing import Any

from alembic import op


def run_sql(script: str) -> None:
    """Run the SQL file that stands beside a migration's script, of this name."""
    statements = Path(script).with_suffix(".sql").read_text()
    # Past SQLAlchemy, which prepares what it sends: PostgreSQL prepares one statement at a time.
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(statements))
