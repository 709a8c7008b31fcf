"""What the services have in common: a client, all pages of an answer, the deployment's own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import jmespath

from tally.aws.inventory.resources import Resource, tags_of

if TYPE_CHECKING:
    from tally.aws.inventory import Inventory


class Service:
    """A service of AWS, asked for the resources of one deployment, each kind once."""

    api: ClassVar[str]
    """What boto3 calls the service."""
    tagging: ClassVar[tuple[str, str, str]] = ("list_tags_for_resource", "ResourceArn", "Tags")
    """What lists tags, the argument that names a resource, and the JMESPath of its tags."""

    def __init__(self, aws: Inventory) -> None:
        self.aws = aws

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        return self.aws.client(self.api)

    def all(self, operation: str, path: str, **arguments: object) -> list[Resource]:
        """List what a JMESPath finds on all pages of an answer."""
        if self.client.can_paginate(operation):
            pages = self.client.get_paginator(operation).paginate(**arguments)
        else:
            pages = [getattr(self.client, operation)(**arguments)]
        return [resource for page in pages for resource in jmespath.search(path, page) or []]

    def tags(self, arn: str) -> dict[str, str]:
        operation, argument, path = self.tagging
        return tags_of({"Tags": self.all(operation, path, **{argument: arn})})

    def own(self, resources: Iterable[Resource], key: str) -> list[Resource]:
        """Select those whose name begins with the deployment's, and with no longer one's."""
        name = self.aws.name
        others = tuple(it for other in self.aws.others for it in _prefixes(other))
        return [
            resource
            for resource in resources
            if resource[key] == name
            or (resource[key].startswith(_prefixes(name)) and not resource[key].startswith(others))
        ]


def listed(
    operation: str, path: str, name: str = "", **arguments: object
) -> cached_property[list[Resource]]:
    """Give a service a property: all that an operation lists, or by their names its own."""

    def ask(service: Service) -> list[Resource]:
        found = service.all(operation, path, **arguments)
        return service.own(found, name) if name else found

    return cached_property(ask)


def _prefixes(name: str) -> tuple[str, ...]:
    return f"{name}-", f"{name}/", f"/{name}/"
