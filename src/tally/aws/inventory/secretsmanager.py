"""Secrets Manager: the secrets, never their values."""

from functools import cached_property

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class SecretsManager(Service):
    api = "secretsmanager"

    @cached_property
    def secrets(self) -> dict[str, Resource]:
        """The secrets, by name; their values are never read."""
        found = self.all("list_secrets", "SecretList")
        return {secret["Name"]: secret for secret in self.own(found, "Name")}
