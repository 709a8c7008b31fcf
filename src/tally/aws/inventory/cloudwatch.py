"""CloudWatch: alarms and dashboards."""

import json
from functools import cached_property

from tally.aws.inventory.resources import Resource, tags_of
from tally.aws.inventory.service import Service


class CloudWatch(Service):
    api = "cloudwatch"

    @cached_property
    def alarms(self) -> list[Resource]:
        found = self.all("describe_alarms", "MetricAlarms")
        return self.own(found, "AlarmName")

    @cached_property
    def dashboards(self) -> dict[str, Resource]:
        """Dashboards by name, with their content."""
        found = self.all("list_dashboards", "DashboardEntries")
        return {
            name: json.loads(self.client.get_dashboard(DashboardName=name)["DashboardBody"])
            for name in (it["DashboardName"] for it in self.own(found, "DashboardName"))
        }

    def tags(self, arn: str) -> dict[str, str]:
        return tags_of(self.client.list_tags_for_resource(ResourceARN=arn))
