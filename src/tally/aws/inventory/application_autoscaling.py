"""Application Auto Scaling: by what the containers scale, and between which bounds."""

from functools import cached_property

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class ApplicationAutoScaling(Service):
    api = "application-autoscaling"

    @cached_property
    def scalable_targets(self) -> list[Resource]:
        return self._of_containers("describe_scalable_targets", "ScalableTargets")

    @cached_property
    def scaling_policies(self) -> list[Resource]:
        return self._of_containers("describe_scaling_policies", "ScalingPolicies")

    def _of_containers(self, operation: str, path: str) -> list[Resource]:
        found = self.all(operation, path, ServiceNamespace="ecs")
        return [it for it in found if f"/{self.aws.name}-containers/" in it["ResourceId"]]
