"""RDS: what a database is given, and what it is refused."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import botocore.session
from botocore import xform_name
from moto.core.responses import ActionResult
from moto.rds.exceptions import InvalidParameterCombination
from moto.rds.models import DBInstance, RDSBackend
from moto.rds.responses import RDSResponse

# How RDS's API model (botocore's documentation of each parameter) says that one is of some engines.
_OF_ENGINES = re.compile(r"(?:[Aa]pplies to|supported for) (RDS for [^.]*?) (?:DB instances )?only")


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
        # AWS's default (RDS's user guide, "Certificate authorities"). With moto's, Terraform
        # changes each new database at once, and waits for more than a minute.
        make(self, *args, **{"ca_certificate_identifier": "rds-ca-rsa2048-g1", **given})
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
        # The password comes with the data; a secret for it is made by a later modification.
        restored.update(manage_master_user_password=False)
        return restored

    DBInstance.__init__ = keep
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


def patch() -> None:
    keep_what_databases_are_given()
    refuse_parameters_of_other_engines()
