"""Application Auto Scaling: how the containers scale."""

from functools import cached_property

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class ApplicationAutoScaling(Service):
    api = "application-autoscaling"

    @cached_property
    def scalable_targets(self) -> list[Resource]:
        """What is scaled between two bounds, among the containers."""
        found = self.all(
            "describe_scalable_targets",
            "ScalableTargets",
            ServiceNamespace="ecs",
        )
        return [it for it in found if f"/{self.aws.name}-containers/" in it["ResourceId"]]

    @cached_property
    def scaling_policies(self) -> list[Resource]:
        """By what the containers are scaled."""
        found = self.all(
            "describe_scaling_policies",
            "ScalingPolicies",
            ServiceNamespace="ecs",
        )
        return [it for it in found if f"/{self.aws.name}-containers/" in it["ResourceId"]]
