"""EC2 Auto Scaling: the adder's group and its releases."""

from functools import cached_property

from tally.aws.inventory.resources import Resource, the_one
from tally.aws.inventory.service import Service, listed


class AutoScaling(Service):
    api = "autoscaling"

    groups = listed("describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName")

    @cached_property
    def adder_group(self) -> Resource:
        return the_one(
            (it for it in self.groups if it["AutoScalingGroupName"].endswith("-adder")),
            f"auto scaling group {self.aws.name}-adder",
        )

    @cached_property
    def instance_refreshes(self) -> list[Resource]:
        """The adder's releases: replacements of all its machines, newest first."""
        name = self.adder_group["AutoScalingGroupName"]
        operation = "describe_instance_refreshes"
        return self.all(operation, "InstanceRefreshes", AutoScalingGroupName=name)
