"""Releases and user data as a deployment makes them."""

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import cloud as clouds

PROJECT = Path(__file__).parents[2]
_PARTS = ("LICENSE", "README.md", "pyproject.toml", "requirements", "scripts", "src")
CERTIFICATES = "src/tally/aws/rds-us-east-1.pem"

# What infra/ hands to the template; `files` is the folder machine/ by path.
_RENDERING = """
variable "machine" { type = map(string) }
variable "deploy" { type = string }
locals {
  user_data = templatefile("${var.deploy}/user-data.yaml.tftpl", merge(var.machine, {
    files = {
      for path in fileset("${var.deploy}/machine", "**") :
      path => file("${var.deploy}/machine/${path}")
    }
  }))
}
"""


def copy_of_sources(folder: Path, authority: Path, version: str) -> Path:
    """Copy what a release is built from, with a version, trusting what `authority` vouches for.

    Nobody but Amazon has a key to show that RDS's own authorities are trusted.
    """
    folder.mkdir()
    for part in _PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, folder / part)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    (folder / CERTIFICATES).parent.mkdir(exist_ok=True)
    shutil.copy(authority, folder / CERTIFICATES)
    module = folder / "src/tally/__init__.py"
    text = re.sub('__version__ = ".*"', f'__version__ = "{version}"', module.read_text())
    module.write_text(text)
    return folder


def build(sources: Path) -> tuple[Path, str]:
    """Build a release and return its file and sha256, as `make release` prints it."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the release is built by the Python it is for, 3.11")
    done = subprocess.run(
        [sources / "scripts/release"], check=True, stdout=subprocess.PIPE, text=True
    )
    sha256, file = done.stdout.split()
    return sources / file, sha256


def machine_of_the_guest(key: str, sha256: str) -> dict[str, str]:
    """Give the template's variables for a machine in the test's own cloud."""
    return {
        "name": "tally",
        "region": clouds.REGION,
        "release_bucket": clouds.BUCKET,
        "adder_key": key,
        "adder_sha256": sha256,
        "secret_id": clouds.SECRET,
        "database_host": clouds.DATABASE_HOST,
        "log_group": "tally-adder",
        "version": "0123456789abcdef0123456789abcdef01234567",
    }


def render(folder: Path, machine: dict[str, str]) -> str:
    """Render the user data of a machine by Terraform."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    values = "\n".join(f'  {name} = "{value}"' for name, value in machine.items())
    (folder / "main.tf").write_text(_RENDERING)
    (folder / "terraform.tfvars").write_text(
        f'deploy = "{PROJECT / "deploy/adder"}"\nmachine = {{\n{values}\n}}\n'
    )
    done = subprocess.run(
        ["terraform", f"-chdir={folder}", "console"],
        input="base64encode(local.user_data)",
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "CHECKPOINT_DISABLE": "1"},
    )
    return base64.b64decode(done.stdout.strip().strip('"')).decode()
