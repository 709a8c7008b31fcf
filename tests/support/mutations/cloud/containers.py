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

    def definition(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_task_definition(
            taskDefinition=f"{self.name}-{service}", include=["TAGS"]
        )
        return found

    def secret(self, service: str, name: str) -> dict[str, str]:
        """How a service's container gets a secret."""
        (container,) = self.definition(service)["taskDefinition"]["containerDefinitions"]
        (found,) = (it for it in container["secrets"] if it["name"] == name)
        return {"name": found["name"], "valueFrom": found["valueFrom"]}

    def define(
        self,
        change: Callable[[dict[str, dict[str, Any]]], None],
        service: str = "schema",
        **settings: object,
    ) -> str:
        """Define a task whose containers, given by name, differ."""
        family, answer = f"{self.name}-{service}", self.definition(service)
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
        return str(made["taskDefinitionArn"])

    def change_task(
        self,
        change: Callable[[dict[str, dict[str, Any]]], None],
        deployment: dict[str, Any] | None = None,
        service: str = "display",
        **settings: object,
    ) -> None:
        """Run a service whose containers, given by name, differ."""
        self.ecs.update_service(
            **self.service(service),
            taskDefinition=self.define(change, service, **settings),
            deploymentConfiguration={
                **self.found(service)["deploymentConfiguration"],
                **(deployment or {}),
            },
        )
