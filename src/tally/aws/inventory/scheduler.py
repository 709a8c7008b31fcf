"""EventBridge Scheduler: what waits for the last practised restore to be too long ago."""

from functools import cached_property
from typing import cast

from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.inventory.service import Service


class Scheduler(Service):
    api = "scheduler"

    @cached_property
    def restore_overdue(self) -> Resource:
        name = f"{self.aws.name}-restore-overdue"
        try:
            return cast("Resource", self.client.get_schedule(Name=name, GroupName="default"))
        except self.client.exceptions.ResourceNotFoundException:
            raise NotFound(f"schedule {name}") from None
