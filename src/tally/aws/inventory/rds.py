"""RDS: the database."""

from functools import cached_property

from tally.aws.inventory.resources import Resource, the_one
from tally.aws.inventory.service import Service, listed


class RDS(Service):
    api = "rds"

    databases = listed("describe_db_instances", "DBInstances", "DBInstanceIdentifier")

    @cached_property
    def database(self) -> Resource:
        # One that a practised restore has made stands beside it for half an hour.
        practice = f"{self.aws.name}-practice"
        found = [it for it in self.databases if it["DBInstanceIdentifier"] != practice]
        return the_one(found, f"database {self.aws.name}-...")

    @cached_property
    def parameters(self) -> dict[str, str]:
        names = [it["DBParameterGroupName"] for it in self.database["DBParameterGroups"]]
        asked = ("describe_db_parameters", "Parameters[?ParameterValue != `null`]")
        found = [it for name in names for it in self.all(*asked, DBParameterGroupName=name)]
        return {it["ParameterName"]: it["ParameterValue"] for it in found}
