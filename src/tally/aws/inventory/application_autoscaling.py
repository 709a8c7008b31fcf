"""Application Auto Scaling: by what the containers scale, and between which bounds."""

from functools import cached_property

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class ApplicationAutoScaling(Service):
    api = "application-autoscaling"

    @cached_property
    def scalable_targets(self) -> list[Resource]:
        found = self.all(
            "describe_scalable_targets",
            "ScalableTargets",
            ServiceNamespace="ecs",
        )
        return [it for it in found if f"/{self.aws.name}-containers/" in it["ResourceId"]]

    @cached_property
    def scaling_policies(self) -> list[Resource]:
        found = self.all(
            "describe_scaling_policies",
            "ScalingPolicies",
            ServiceNamespace="ecs",
        )
        return [it for it in found if f"/{self.aws.name}-containers/" in it["ResourceId"]]
