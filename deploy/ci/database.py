"""Whether a plan would lose what people have entered."""

from typing import Any

# The database itself, and the key without which it and its backups can't be read.
HOLDS_DATA = ("aws_db_instance", "aws_rds_cluster", "aws_kms_key")


def lost(plan: dict[str, Any]) -> list[str]:
    """Name what holds the data and would be destroyed or replaced."""
    return [
        change["address"]
        for change in plan.get("resource_changes", [])
        if change["type"] in HOLDS_DATA and "delete" in change["change"]["actions"]
    ]
