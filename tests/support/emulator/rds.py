"""RDS: what a database is given, and what it is refused."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import botocore.session
from botocore import xform_name
from moto.core.responses import ActionResult
from moto.rds.exceptions import InvalidParameterCombination, KMSKeyNotAccessibleFault
from moto.rds.models import DBInstance, RDSBackend
from moto.rds.responses import RDSResponse

from tests.support.emulator import databases

# How RDS's API model (botocore's documentation of each parameter) says that one is of some engines.
_OF_ENGINES = re.compile(r"(?:[Aa]pplies to|supported for) (RDS for [^.]*?) (?:DB instances )?only")


def keep_what_databases_are_given() -> None:
    """moto drops a database's performance insights, its resource id and its owner's password.

    It puts each into the region's first zone, whatever its subnets, and a standby into none.
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
        # AWS's default (RDS's user guide, "Certificate authorities"). With moto's, Terraform
        # changes each new database at once, and waits for more than a minute.
        make(self, *args, **{"ca_certificate_identifier": "rds-ca-rsa2048-g1", **given})
        self.performance_insights_enabled = given.get("enable_performance_insights", False)
        self.performance_insights_kms_key_id = given.get("performance_insights_kms_key_id")
        self.performance_insights_retention_period = given.get(
            "performance_insights_retention_period"
        )
        self.dbi_resource_id = f"db-{uuid4().hex[:26].upper()}"
        if self._db_subnet_group_name is not None and not given.get("availability_zone"):
            self.availability_zone = self.db_subnet_group._subnets[0].availability_zone

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
        # Nor does moto take what is given and false.
        for name, default in not_restored.items():
            setattr(restored, name, given.get(name, default))
        # The password comes with the data; a secret for it is made by a later modification.
        restored.update(manage_master_user_password=False)
        databases.restore(source, target)
        return restored

    def zone_of_standby(self: DBInstance) -> str | None:
        if not self.multi_az or self._db_subnet_group_name is None:
            return None
        return str(self.db_subnet_group._subnets[1].availability_zone)

    DBInstance.__init__ = keep
    DBInstance.secondary_availability_zone = property(zone_of_standby)
    DBInstance.update = keep_password
    RDSBackend.restore_db_instance_to_point_in_time = restore_apart


def parameters_of_engines() -> dict[str, dict[str, str]]:
    """Read which parameters are of some engines only: operation to parameter to those engines."""
    model = botocore.session.get_session().get_service_model("rds")
    found: dict[str, dict[str, str]] = {}
    for operation in model.operation_names:
        shape = model.operation_model(operation).input_shape
        for name, member in (shape.members if shape else {}).items():
            text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", member.documentation))
            if engines := _OF_ENGINES.search(text):
                found.setdefault(operation, {})[name] = engines[1]
    return found


def refuse_parameters_of_other_engines() -> None:
    """moto takes every parameter for every engine."""
    for operation, parameters in parameters_of_engines().items():
        method = xform_name(operation)
        if hasattr(RDSResponse, method):
            setattr(RDSResponse, method, _refusing(getattr(RDSResponse, method), parameters))


def _refusing(
    method: Callable[[RDSResponse], ActionResult], parameters: dict[str, str]
) -> Callable[[RDSResponse], ActionResult]:
    def refuse(self: RDSResponse) -> ActionResult:
        for name, engines in parameters.items():
            if self.params.get(name):
                # All of Tally's are PostgreSQL.
                raise InvalidParameterCombination(f"{name} applies to {engines} only.")
        return method(self)

    return refuse


def refuse_keys_that_read_nothing() -> None:
    """moto uses every key; AWS none whose deletion is scheduled, or that is disabled.

    API references of KMS's ScheduleKeyDeletion, and of what RDS then answers:
    KMSKeyNotAccessibleFault.
    """
    validate = RDSBackend._validate_kms_key
    copy = RDSBackend.copy_db_snapshot
    create = RDSBackend.create_db_snapshot
    restore = RDSBackend.restore_db_instance_from_db_snapshot

    def use(self: RDSBackend, key: str | None) -> None:
        # moto's word for RDS's own, which nobody can disable.
        if key in {None, "default_kms_key_id"}:
            return
        if self.kms.describe_key(key).key_state != "Enabled":
            raise KMSKeyNotAccessibleFault(key)

    def validate_key(self: RDSBackend, key: str) -> str:
        use(self, arn := validate(self, key))
        return arn

    def copy_snapshot(self: RDSBackend, source_db_snapshot_identifier: str, **given: Any) -> Any:
        use(self, self.get_db_snapshot(source_db_snapshot_identifier).kms_key_id)
        return copy(self, source_db_snapshot_identifier, **given)

    def create_snapshot(
        self: RDSBackend, db_instance_identifier: str, *args: Any, **given: Any
    ) -> Any:
        if database := self.databases.get(db_instance_identifier):
            use(self, database.kms_key_id)
        return create(self, db_instance_identifier, *args, **given)

    def restore_snapshot(self: RDSBackend, snapshot: str, given: Any) -> DBInstance:
        use(self, self.get_db_snapshot(snapshot).kms_key_id)
        return restore(self, snapshot, given)

    RDSBackend._validate_kms_key = validate_key
    RDSBackend.copy_db_snapshot = copy_snapshot
    RDSBackend.create_db_snapshot = create_snapshot
    RDSBackend.restore_db_instance_from_db_snapshot = restore_snapshot


def keep_what_stands_behind() -> None:
    """A database's status is what the test says, and what stands behind it goes with it."""
    delete = RDSBackend.delete_db_instance

    def delete_instance(self: RDSBackend, db_instance_identifier: str, **given: Any) -> DBInstance:
        deleted = delete(self, db_instance_identifier, **given)
        databases.delete(db_instance_identifier)
        return deleted

    def status(self: DBInstance) -> str:
        real = databases.Real.behind(self.db_instance_identifier)
        return real.status if real else vars(self)["own_status"]

    def set_status(self: DBInstance, status: str) -> None:
        vars(self)["own_status"] = status

    RDSBackend.delete_db_instance = delete_instance
    DBInstance.status = property(status, set_status)


def patch() -> None:
    keep_what_stands_behind()
    keep_what_databases_are_given()
    refuse_keys_that_read_nothing()
    refuse_parameters_of_other_engines()
