"""What an account and a repository need once, prepared by one command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import (
    ACCOUNT,
    PUBLIC_KEY,
    REPOSITORY,
    REPOSITORY_ID,
    Emulator,
    terraform_environment,
)
from tests.support.github import GitHub, github
from tests.support.paths import BOOTSTRAP, ROOT

# A person says yes, and the rest of the bootstrap has tests of its own.
APPLIED = ("module.state", "aws_iam_openid_connect_provider.github")
VARIABLES = """
# As somebody writes them.
profile             = "small"
allowed_bastion_ips = ["203.0.113.7/32"]
alarm_email         = "operator@example.com"
ssh_public_key_path = "operator.pub"
"""


@dataclass
class Operator:
    """Somebody with a clone, the keys of an account, and a token for GitHub."""

    folder: Path
    emulator: Emulator
    github: GitHub
    environment: dict[str, str]

    def prepare(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "deploy.ci", "prepare", *options],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def prepared(self, *options: str) -> str:
        done = self.prepare("--repository", REPOSITORY, *options)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def refusal(self, *options: str) -> str:
        done = self.prepare(*options)
        assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
        [said] = [it for it in done.stderr.splitlines() if it.startswith("Refused: ")]
        return said

    @property
    def deployments(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.github.variables["DEPLOYMENTS"])
        return found

    @property
    def providers(self) -> list[str]:
        iam = self.emulator.client("iam")
        found = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        return [provider["Arn"] for provider in found]


@pytest.fixture
def operator(terraform: None, tmp_path: Path) -> Iterator[Operator]:
    folder = tmp_path / "tally"
    shutil.copytree(ROOT / "deploy/ci", folder / "deploy/ci")
    given = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.auto.tfvars.json")
    shutil.copytree(BOOTSTRAP, folder / "infra/bootstrap", ignore=given)
    shutil.copytree(BOOTSTRAP.parent / "modules", folder / "infra/modules")
    (folder / "infra/terraform.tfvars").write_text(VARIABLES)
    (folder / "operator.pub").write_text(PUBLIC_KEY + "\n")
    emulator = Emulator.start(tmp_path)
    targets = " ".join(f"-target={each}" for each in APPLIED)
    with github() as server:
        environment = (
            terraform_environment(tmp_path)
            | emulator.environment
            | {name: server.environment[name] for name in ("GITHUB_API_URL", "GITHUB_TOKEN")}
            | {"TF_CLI_ARGS_apply": f"-auto-approve -input=false -no-color {targets}"}
        )
        yield Operator(folder, emulator, server, environment)
    emulator.stop()


def test_one_command_prepares_the_account_and_the_repository(operator: Operator) -> None:
    said = operator.prepared("--reviewer", "octocat")
    roles = operator.emulator.client("iam").list_roles(PathPrefix="/aws-service-role/")["Roles"]
    assert {role["Path"].split("/")[2] for role in roles} == {
        f"{service}.amazonaws.com"
        for service in ("autoscaling", "ecs", "elasticloadbalancing", "rds")
    }
    [provider] = operator.providers
    assert provider.endswith("/token.actions.githubusercontent.com")
    assert operator.github.environments["production"] == [
        {"type": "branch_policy"},
        {"type": "required_reviewers", "reviewers": [{"type": "User", "id": len("octocat")}]},
    ]
    assert operator.github.branches == {"production": ["main"]}
    assert operator.deployments == {
        "production": {
            "account": ACCOUNT,
            "variables": {
                "name": "tally",
                "profile": "small",
                "allowed_bastion_ips": ["203.0.113.7/32"],
                "alarm_email": "operator@example.com",
            },
            "ssh_public_key": PUBLIC_KEY,
        }
    }
    assert "AWS does not know the tag Deployment yet" in said

    # Another day, from another machine: nothing is made twice, nothing of others is lost.
    operator.github.variables["DEPLOYMENTS"] = json.dumps(
        operator.deployments | {"other": {"account": ACCOUNT}}
    )
    for left in ("terraform.tfstate", "given.auto.tfvars.json"):
        (operator.folder / "infra/bootstrap" / left).unlink()
    variables = operator.folder / "infra/terraform.tfvars"
    variables.write_text(VARIABLES.replace("small", "production"))
    vpc = operator.emulator.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    tags = [{"Key": "Deployment", "Value": "tally"}]
    operator.emulator.client("ec2").create_tags(Resources=[vpc], Tags=tags)
    said = operator.prepared()
    assert "Apply complete! Resources: 0 added, 0 changed, 0 destroyed." in said
    assert "The tag Deployment counts costs." in said
    assert operator.providers == [provider]
    assert len(operator.github.environments["production"]) == 2
    assert operator.github.branches == {"production": ["main"]}
    assert operator.deployments["production"]["variables"]["profile"] == "production"
    assert operator.deployments["other"] == {"account": ACCOUNT}


def test_an_account_that_knows_github_keeps_its_provider(operator: Operator) -> None:
    """Repositories whose plan offers no reviewers are refused, unless somebody asks for that."""
    operator.github.asks_reviewers = False
    operator.emulator.client("iam").create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"]
    )
    [provider] = operator.providers
    said = operator.refusal("--repository", REPOSITORY, "--reviewer", "octocat")
    assert "Nobody must approve an apply to production" in said
    assert operator.github.variables == {}
    assert operator.emulator.client("s3").list_buckets()["Buckets"] == []
    operator.prepared("--unreviewed")
    assert operator.deployments["production"]["unreviewed"] is True
    assert operator.providers == [provider]
    given = json.loads((operator.folder / "infra/bootstrap/given.auto.tfvars.json").read_text())
    assert given == {
        "name": "tally",
        "github_repository": REPOSITORY,
        "github_repository_id": REPOSITORY_ID,
        "github_environment": "production",
        "github_provider_arn": provider,
    }


def test_what_is_missing_is_said_before_anything_is_made(operator: Operator) -> None:
    assert "GitHub shows no repository example/other" in operator.refusal(
        "--repository", "example/other"
    )
    operator.environment |= {"PATH": f"{operator.folder}:{os.environ['PATH']}"}
    (operator.folder / "gh").write_text("#!/bin/sh\nexit 1\n")
    (operator.folder / "gh").chmod(0o700)
    del operator.environment["GITHUB_TOKEN"]
    assert "run gh auth login" in operator.refusal("--repository", REPOSITORY)
    (operator.folder / "infra/terraform.tfvars").unlink()
    assert "copy infra/terraform.tfvars.example" in operator.refusal()
    assert operator.emulator.client("s3").list_buckets()["Buckets"] == []
    assert operator.emulator.client("iam").list_roles()["Roles"] == []
