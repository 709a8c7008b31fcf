"""RDS: what a database is given."""

from typing import Any
from uuid import uuid4

from moto.rds.models import DBInstance, RDSBackend


def keep_what_databases_are_given() -> None:
    """moto drops a database's performance insights, its resource id and its owner's password.

    It makes a restored database a replica with the source's settings; AWS gives it defaults.
    """
    not_restored = {
        "copy_tags_to_snapshot": False,
        "deletion_protection": False,
        "enable_iam_database_authentication": False,
        "multi_az": False,
        "vpc_security_group_ids": [],  # on AWS the network's default group, which is closed
    }
    make = DBInstance.__init__
    update = DBInstance.update
    restore = RDSBackend.restore_db_instance_to_point_in_time

    def keep(self: DBInstance, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self.performance_insights_enabled = given.get("enable_performance_insights", False)
        self.performance_insights_kms_key_id = given.get("performance_insights_kms_key_id")
        self.performance_insights_retention_period = given.get(
            "performance_insights_retention_period"
        )
        self.dbi_resource_id = f"db-{uuid4().hex[:26].upper()}"

    def keep_password(self: DBInstance, **given: Any) -> None:
        if self.manage_master_user_password:
            given = {
                name: value
                for name, value in given.items()
                if (name, value) != ("manage_master_user_password", True)
            }
        update(self, **given)

    def restore_apart(self: RDSBackend, source: str, target: str, given: Any) -> DBInstance:
        given.pop("source_db_instance_identifier", None)
        restored = restore(self, source, target, given)
        for name in not_restored.keys() - given.keys():
            setattr(restored, name, not_restored[name])
        if not given.get("manage_master_user_password"):
            restored.update(manage_master_user_password=False)
        return restored

    DBInstance.__init__ = keep
    DBInstance.update = keep_password
    RDSBackend.restore_db_instance_to_point_in_time = restore_apart


def patch() -> None:
    keep_what_databases_are_given()
