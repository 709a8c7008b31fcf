"""An emulated AWS after the bootstrap, and a checkout whose infra/ takes seconds to apply."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.deployment import ACCOUNT, PUBLIC_KEY, Stand, terraform_environment
from tests.support.paths import BOOTSTRAP, ROOT
from tests.support.workflow_runner import Runner, machine

HERE = Path(__file__).parent
NAME = "tally"
DEPLOYMENTS = json.dumps(
    {
        "production": {
            "account": ACCOUNT,
            "variables": {"name": NAME},
            "ssh_public_key": PUBLIC_KEY,
        }
    }
)
# What the workflows' steps use of infra/bootstrap. What the other roles may do, infra/'s tests say.
BOOTSTRAPPED = (
    "module.state",
    "module.releases",
    "aws_ecr_repository.service",
    "aws_kms_alias.plans",
    "aws_iam_policy.build",
)
# What is in the checkout beside infra/: what the workflows' steps use.
USED = ("deploy/ci", "scripts", ".github")


@dataclass(frozen=True)
class Checkout:
    """A commit, checked out where a job would find it."""

    folder: Path

    @property
    def commit(self) -> str:
        return self._git("rev-parse", "HEAD")

    def commit_all(self, message: str) -> str:
        self._git("add", "--all")
        self._git("commit", "--quiet", f"--message={message}")
        return self.commit

    def go_to(self, commit: str) -> None:
        self._git("checkout", "--quiet", "--force", commit)
        self._git("clean", "-d", "--force", "--quiet")

    def _git(self, *arguments: str) -> str:
        author = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com")
        done = subprocess.run(
            ["git", *author, *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    @classmethod
    def make(cls, folder: Path) -> "Checkout":
        for used in USED:
            shutil.copytree(
                ROOT / used, folder / used, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copytree(HERE / "module", folder / "infra")
        shutil.copy(BOOTSTRAP / ".terraform.lock.hcl", folder / "infra")
        (folder / ".gitignore").write_text(".venv\n.terraform/\n__pycache__/\nbuild/\ndist/\n")
        (folder / ".venv").symlink_to(sys.prefix)
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        checkout = cls(folder)
        checkout.commit_all("Stand in for the project")
        return checkout


@pytest.fixture(scope="session")
def account(terraform: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """An account after the bootstrap: buckets, repositories, and the key that seals."""
    stand = Stand.start(NAME, "production", tmp_path_factory.mktemp("account"))
    try:
        stand.terraform(BOOTSTRAP, "init", "-input=false", "-no-color", "-lockfile=readonly")
        stand.bootstrap("apply", "-auto-approve", *(f"-target={each}" for each in BOOTSTRAPPED))
        yield stand
    finally:
        stand.stop()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout.make(tmp_path_factory.mktemp("checkout") / "tally")


@pytest.fixture(scope="session")
def runner(
    account: Stand, checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Runner]:
    """A machine for a workflow's jobs, given what GitHub would put into its expressions."""

    def make(workflow: str, **expressions: str) -> Runner:
        known = {
            "vars.DEPLOYMENTS": DEPLOYMENTS,
            "inputs.environment": "production",
            "inputs.environment || 'production'": "production",
            "inputs.may-destroy-database": "false",
            "github.event_name == 'workflow_dispatch'": "true",
            "always()": "true",
        }
        return Runner(
            workflow,
            checkout.folder,
            machine(terraform_environment(account.folder) | account.emulator.environment),
            known | expressions,
            tmp_path_factory.mktemp("runner"),
        )

    return make
