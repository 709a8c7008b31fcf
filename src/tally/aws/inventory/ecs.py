"""ECS: the cluster, its services and their task definitions."""

from functools import cached_property
from typing import Final

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service

# How many services one call describes at once, by AWS's own limit.
_BATCH: Final = 10


class ECS(Service):
    api = "ecs"

    @cached_property
    def clusters(self) -> list[Resource]:
        path = f"clusterArns[?ends_with(@, '/{self.aws.name}-containers')]"
        named = self.all("list_clusters", path)
        if not named:
            return []
        answer = self.client.describe_clusters(clusters=named, include=["SETTINGS", "TAGS"])
        return list(answer["clusters"])

    @cached_property
    def services(self) -> dict[str, Resource]:
        """Container services by their short name, such as `display`."""
        found: dict[str, Resource] = {}
        for cluster in self.clusters:
            arns = self.all("list_services", "serviceArns", cluster=cluster["clusterArn"])
            for start in range(0, len(arns), _BATCH):
                answer = self.client.describe_services(
                    cluster=cluster["clusterArn"],
                    services=arns[start : start + _BATCH],
                    include=["TAGS"],
                )
                for service in answer["services"]:
                    found[service["serviceName"].removeprefix(f"{self.aws.name}-")] = service
        return found

    @cached_property
    def task_definitions(self) -> dict[str, Resource]:
        """What the container services and the schema step run, with its tags, by short name."""
        named = {name: service["taskDefinition"] for name, service in self.services.items()}
        found: dict[str, Resource] = {}
        for name, definition in {**named, "schema": f"{self.aws.name}-schema"}.items():
            try:
                answer = self.client.describe_task_definition(
                    taskDefinition=definition, include=["TAGS"]
                )
            except self.client.exceptions.ClientException:
                continue  # there is none
            found[name] = {**answer["taskDefinition"], "tags": answer.get("tags", [])}
        return found
