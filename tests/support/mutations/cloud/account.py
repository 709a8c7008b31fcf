"""An account, its clients, and what the deployment's names and tags are in it."""

from collections.abc import Callable
from functools import cache
from typing import Any


class Account:
    def __init__(self, name: str, client: Callable[[str], Any]) -> None:
        self.name = name
        self.client = cache(client)

    def __getattr__(self, service: str) -> Any:
        return self.client(service)

    @property
    def tags(self) -> list[dict[str, str]]:
        tags = {"Project": "tally", "Deployment": self.name, "Profile": "production"}
        return [{"Key": k, "Value": v} for k, v in {**tags, "ManagedBy": "a test"}.items()]

    def tagged(self, kind: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": self.tags}]

    def bucket(self, what: str) -> str:
        account = self.sts.get_caller_identity()["Account"]
        return f"{self.name}-{what}-{account}"
