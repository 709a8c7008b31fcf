"""RDS: the database."""

from functools import cached_property

from tally.aws.inventory.resources import Resource, the_one
from tally.aws.inventory.service import Service


class RDS(Service):
    api = "rds"

    @cached_property
    def databases(self) -> list[Resource]:
        found = self.all("describe_db_instances", "DBInstances")
        return self.own(found, "DBInstanceIdentifier")

    @cached_property
    def database(self) -> Resource:
        return the_one(self.databases, f"database {self.aws.name}-...")

    @cached_property
    def parameters(self) -> dict[str, str]:
        return {
            parameter["ParameterName"]: parameter["ParameterValue"]
            for group in self.database["DBParameterGroups"]
            for parameter in self.all(
                "describe_db_parameters",
                "Parameters",
                DBParameterGroupName=group["DBParameterGroupName"],
            )
            if "ParameterValue" in parameter
        }
