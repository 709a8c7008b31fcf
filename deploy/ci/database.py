"""Whether a plan would lose the data."""

from typing import Any

# The database, and the key that it and its backups are encrypted with.
HOLDS_DATA = ("aws_db_instance", "aws_rds_cluster", "aws_kms_key")


def lost(plan: dict[str, Any]) -> list[str]:
    """List the resources with data that the plan destroys or replaces."""
    return [
        change["address"]
        for change in plan.get("resource_changes", [])
        if change["type"] in HOLDS_DATA and "delete" in change["change"]["actions"]
    ]
