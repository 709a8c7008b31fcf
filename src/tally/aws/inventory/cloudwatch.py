"""CloudWatch: alarms and dashboards."""

import json
from functools import cached_property

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service, listed


class CloudWatch(Service):
    api = "cloudwatch"
    tagging = ("list_tags_for_resource", "ResourceARN", "Tags")
    alarms = listed("describe_alarms", "MetricAlarms", "AlarmName")

    @cached_property
    def dashboards(self) -> dict[str, Resource]:
        found = self.all("list_dashboards", "DashboardEntries")
        return {
            name: json.loads(self.client.get_dashboard(DashboardName=name)["DashboardBody"])
            for name in (it["DashboardName"] for it in self.own(found, "DashboardName"))
        }
