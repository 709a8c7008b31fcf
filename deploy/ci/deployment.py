"""The deployment of an environment: its account, names and Terraform variables.

They come from GitHub's repository variable DEPLOYMENTS, by the environment's name:

    {"production": {
      "account": "123456789012",
      "variables": {"name": "tally", "profile": "production", "allowed_bastion_ips": []},
      "ssh_public_key": "ssh-ed25519 ..."}}

`variables` are those of infra/variables.tf except the release. The key is only needed if
`allowed_bastion_ips` is not empty. `"unreviewed": true` lets an apply follow its plan without
approval (deploy/ci/approval.py).
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.ci.refused import Refused


@dataclass(frozen=True)
class Deployment:
    """One deployment."""

    environment: str
    account: str
    variables: dict[str, Any]
    ssh_public_key: str | None = None
    unreviewed: bool = False

    @classmethod
    def from_json(cls, text: str, environment: str) -> "Deployment":
        """Read the repository variable; raise Refused if its format is wrong."""
        try:
            deployments = json.loads(text)
            if environment not in deployments:
                raise Refused(f"DEPLOYMENTS has no {environment!r}.")
            deployment = cls(environment, **deployments[environment])
        except (ValueError, TypeError) as error:
            raise Refused(
                f"DEPLOYMENTS must be as deploy/ci/deployment.py says: {error}."
            ) from error
        account = deployment.account
        if not (isinstance(account, str) and re.fullmatch("[0-9]{12}", account)):
            raise Refused("A deployment's account must be an AWS account's 12 digits, as text.")
        if not isinstance(deployment.variables.get("name"), str):
            raise Refused("A deployment's variables must give its name.")
        if not isinstance(deployment.unreviewed, bool):
            raise Refused("A deployment's unreviewed must be true or false.")
        if "release" in deployment.variables:
            raise Refused("A deployment's variables may not give the release: the workflow does.")
        return deployment

    def for_json(self) -> dict[str, Any]:
        """Its part of the variable."""
        fields: dict[str, Any] = {"account": self.account, "variables": self.variables}
        if self.ssh_public_key is not None:
            fields["ssh_public_key"] = self.ssh_public_key
        return fields | ({"unreviewed": True} if self.unreviewed else {})

    @property
    def name(self) -> str:
        """Prefix of every name."""
        return str(self.variables["name"])

    @property
    def state_bucket(self) -> str:
        """The bucket of Terraform's state."""
        return f"{self.name}-state-{self.account}"

    @property
    def release_bucket(self) -> str:
        """The bucket of releases and their records."""
        return f"{self.name}-releases-{self.account}"

    @property
    def seal_key(self) -> str:
        """The KMS key that plans are sealed with (infra/bootstrap/plans.tf)."""
        return f"alias/{self.name}-plans"

    def write_variables(self, folder: Path, module: Path) -> Path:
        """Write the variables to a file, and the key, which Terraform reads again at the apply."""
        variables = dict(self.variables)
        if self.ssh_public_key:
            key = folder / "operator.pub"
            key.write_text(self.ssh_public_key + "\n")
            # Relative to the module, so that it is the same in every job.
            variables["ssh_public_key_path"] = os.path.relpath(key, module)
        file = folder / "variables.tfvars.json"
        file.write_text(json.dumps(variables))
        return file
