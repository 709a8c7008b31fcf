"""EC2 Auto Scaling: the adder's group and its releases."""

from functools import cached_property

from tally.aws.inventory.resources import Resource, the_one
from tally.aws.inventory.service import Service


class AutoScaling(Service):
    api = "autoscaling"

    @cached_property
    def groups(self) -> list[Resource]:
        found = self.all("describe_auto_scaling_groups", "AutoScalingGroups")
        return self.own(found, "AutoScalingGroupName")

    @cached_property
    def adder_group(self) -> Resource:
        return the_one(
            (it for it in self.groups if it["AutoScalingGroupName"].endswith("-adder")),
            f"auto scaling group {self.aws.name}-adder",
        )

    @cached_property
    def instance_refreshes(self) -> list[Resource]:
        """The adder's releases: replacements of all its machines, newest first."""
        return self.all(
            "describe_instance_refreshes",
            "InstanceRefreshes",
            AutoScalingGroupName=self.adder_group["AutoScalingGroupName"],
        )
