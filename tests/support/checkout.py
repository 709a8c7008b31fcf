"""An account's deployments, and a checkout whose infra/ takes seconds to apply."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.deployment import ACCOUNT, PUBLIC_KEY
from tests.support.paths import BOOTSTRAP, ROOT, TESTS

# Beside it lies what spoils it.
MODULE = TESTS / "deploy/ci/module"
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
        shutil.copytree(MODULE, folder / "infra")
        shutil.copy(BOOTSTRAP / ".terraform.lock.hcl", folder / "infra")
        (folder / ".gitignore").write_text(".venv\n.terraform/\n__pycache__/\nbuild/\ndist/\n")
        (folder / ".venv").symlink_to(sys.prefix)
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        checkout = cls(folder)
        checkout.commit_all("Stand in for the project")
        return checkout
