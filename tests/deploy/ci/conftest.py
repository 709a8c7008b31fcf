"""An emulated AWS after the bootstrap, and a machine that runs the workflows' jobs."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.checkout import DEPLOYMENTS, NAME, Checkout
from tests.support.deployment import Deployment, terraform_environment
from tests.support.github import REVIEWED, GitHub, github
from tests.support.paths import BOOTSTRAP
from tests.support.workflow_runner import Runner, machine

# What the workflows' steps use of infra/bootstrap.
BOOTSTRAPPED = (
    "module.state",
    "module.releases",
    "aws_ecr_repository.service",
    "aws_kms_alias.plans",
    "aws_iam_role_policy_attachment.build",
    "aws_iam_role_policy_attachment.ci",
)
# What the module that stands in for infra/ needs, and infra/ does not.
STAND_IN = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["ssm:*Parameter*", "ssm:ListTagsForResource"],
        "Resource": "*",
    },
}


@pytest.fixture(scope="session")
def account(terraform: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An account after the bootstrap: buckets, repositories, roles, and the key that seals."""
    deployment = Deployment.start(NAME, "production", tmp_path_factory.mktemp("account"))
    try:
        deployment.terraform(BOOTSTRAP, "init", "-input=false", "-no-color", "-lockfile=readonly")
        deployment.bootstrap(
            "apply", "-auto-approve", *(f"-target={each}" for each in BOOTSTRAPPED)
        )
        for purpose in ("plan", "apply"):
            deployment.client("iam").put_role_policy(
                RoleName=f"{NAME}-ci-{purpose}",
                PolicyName="stand-in",
                PolicyDocument=json.dumps(STAND_IN),
            )
        yield deployment
    finally:
        deployment.stop()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout.make(tmp_path_factory.mktemp("checkout") / "tally")


@pytest.fixture(scope="session")
def reviewed() -> Iterator[GitHub]:
    """A GitHub whose environment has reviewers."""
    with github() as server:
        server.environments["production"] = REVIEWED
        yield server


@pytest.fixture(scope="session")
def runner(
    account: Deployment,
    checkout: Checkout,
    reviewed: GitHub,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Runner]:
    """A machine for a workflow's jobs, given what GitHub would put into its expressions."""

    def make(workflow: str, **expressions: str) -> Runner:
        known = {
            "vars.DEPLOYMENTS": DEPLOYMENTS,
            "inputs.environment": "production",
            "inputs.environment || 'production'": "production",
            "inputs.may-destroy-database": "false",
            "github.event_name == 'workflow_dispatch'": "true",
            "github.event_name == 'schedule'": "false",
            "github.token": reviewed.environment["GITHUB_TOKEN"],
            "env.ATTEST == 'true'": "true",
            "!github.event.repository.private || vars.ATTEST == 'true'": "true",
            "always()": "true",
        }
        return Runner(
            workflow,
            checkout.folder,
            machine(terraform_environment(account.folder) | account.emulator.environment)
            | reviewed.environment,
            known | expressions,
            tmp_path_factory.mktemp("runner"),
        )

    return make
