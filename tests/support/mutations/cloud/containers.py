"""Display and reset."""

import copy
from collections.abc import Callable
from typing import Any

from tests.support.mutations.cloud.account import Account


class Containers(Account):
    def service(self, service: str) -> dict[str, str]:
        return {"cluster": f"{self.name}-containers", "service": f"{self.name}-{service}"}

    def found(self, service: str) -> dict[str, Any]:
        return self.ecs.describe_services(
            cluster=self.service(service)["cluster"], services=[self.service(service)["service"]]
        )["services"][0]

    def placed(self, service: str) -> dict[str, Any]:
        found = self.found(service)
        return copy.deepcopy(found["networkConfiguration"]["awsvpcConfiguration"])

    def place(self, service: str, **changes: object) -> None:
        placed = {**self.placed(service), **changes}
        self.ecs.update_service(
            **self.service(service), networkConfiguration={"awsvpcConfiguration": placed}
        )

    def change_task(
        self,
        change: Callable[[dict[str, dict[str, Any]]], None],
        deployment: dict[str, Any] | None = None,
        service: str = "display",
        **settings: object,
    ) -> None:
        """Run a service whose containers, given by name, differ."""
        family = f"{self.name}-{service}"
        answer = self.ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
        found = answer["taskDefinition"]
        containers = found["containerDefinitions"]
        change({it["name"]: it for it in containers})
        kept = ("executionRoleArn", "taskRoleArn", "networkMode", "cpu", "memory")
        made = self.ecs.register_task_definition(
            family=family,
            containerDefinitions=containers,
            **{
                "requiresCompatibilities": ["FARGATE"],
                **{key: found[key] for key in kept},
                "tags": answer["tags"],
                **settings,
            },
        )["taskDefinition"]
        self.ecs.update_service(
            **self.service(service),
            taskDefinition=made["taskDefinitionArn"],
            deploymentConfiguration={
                **self.found(service)["deploymentConfiguration"],
                **(deployment or {}),
            },
        )
