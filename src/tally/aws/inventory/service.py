"""What the services have in common: a client, all pages of an answer, the deployment's own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from tally.aws.inventory.resources import Resource

if TYPE_CHECKING:
    from tally.aws.inventory import Inventory


class Service:
    """A service of AWS, asked for the resources of one deployment, each kind once."""

    api: ClassVar[str]
    """What boto3 calls the service."""

    def __init__(self, aws: Inventory) -> None:
        self.aws = aws

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        return self.aws.client(self.api)

    def all(self, operation: str, key: str, **arguments: object) -> list[Resource]:
        """List what stands under `key` on all pages of an answer."""
        if not self.client.can_paginate(operation):
            return list(getattr(self.client, operation)(**arguments).get(key, []))
        pages = self.client.get_paginator(operation).paginate(**arguments)
        return [resource for page in pages for resource in page.get(key) or []]

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


def _prefixes(name: str) -> tuple[str, ...]:
    return f"{name}-", f"{name}/", f"/{name}/"
