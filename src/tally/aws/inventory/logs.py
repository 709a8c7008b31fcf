"""CloudWatch Logs: log groups, and what other services deliver their logs to."""

from functools import cached_property
from typing import cast

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service, listed


class Logs(Service):
    api = "logs"
    _sources = listed("describe_delivery_sources", "deliverySources")
    _deliveries = listed("describe_deliveries", "deliveries")

    @cached_property
    def log_groups(self) -> dict[str, Resource]:
        """Log groups by name: the deployment's own, and those that AWS writes for it."""
        found = self.all("describe_log_groups", "logGroups")
        own = (
            f"/{self.aws.name}/",
            f"/aws/rds/instance/{self.aws.name}-database/",
            f"/aws/ecs/containerinsights/{self.aws.name}-containers/",
        )
        return {
            it["logGroupName"]: it
            for it in found
            if it["logGroupName"].startswith(own)
            or it["logGroupName"] == f"aws-waf-logs-{self.aws.name}"
        }

    def deliveries(self, resource: str) -> list[Resource]:
        """The deliveries of a resource's access logs."""
        names = [
            it["name"]
            for it in self._sources
            if it["logType"] == "ACCESS_LOGS" and resource in it["resourceArns"]
        ]
        return [it for it in self._deliveries if it["deliverySourceName"] in names]

    def tags(self, name: str) -> dict[str, str]:
        arn = self.log_groups[name]["arn"].removesuffix(":*")
        answer = self.client.list_tags_for_resource(resourceArn=arn)
        return cast("dict[str, str]", answer["tags"])
