"""Secrets Manager: names that stay taken."""

from typing import Any

from moto.secretsmanager.exceptions import InvalidRequestException
from moto.secretsmanager.models import SecretsManagerBackend


def say_why_a_name_is_taken() -> None:
    """moto says the same of a secret that waits for its deletion as of any other."""
    create = SecretsManagerBackend.create_secret

    def create_secret(self: SecretsManagerBackend, name: str, *args: Any, **given: Any) -> Any:
        if (found := self.secrets.get(name)) and found.is_deleted():
            raise InvalidRequestException(
                "You can't create this secret because a secret with this name is already scheduled"
                " for deletion."
            )
        return create(self, name, *args, **given)

    SecretsManagerBackend.create_secret = create_secret


def patch() -> None:
    say_why_a_name_is_taken()
