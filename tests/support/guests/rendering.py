"""User data as a deployment makes it."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.guests import cloud as clouds
from tests.support.guests.release import PROJECT

# What infra/ hands to the template; `files` is the folder machine/ by path, and of a machine that
# forwards, way-out/ too.
_RENDERING = """
variable "machine" { type = map(string) }
variable "deploy" { type = string }
locals {
  folders = concat(["machine"], lookup(var.machine, "forward_from", "") == "" ? [] : ["way-out"])
  user_data = templatefile("${var.deploy}/user-data.yaml.tftpl", merge(var.machine, {
    files = merge([
      for folder in local.folders : {
        for path in fileset("${var.deploy}/${folder}", "**") :
        path => file("${var.deploy}/${folder}/${path}")
      }
    ]...)
  }))
}
"""


def adder_of_the_guest(authority: Path, key: str, sha256: str) -> dict[str, str]:
    """Give the template's variables for an adder's machine in the test's own cloud.

    It trusts what `authority` vouches for: nobody but Amazon has a key to show that RDS's own
    authorities are trusted.
    """
    return {
        "name": "tally",
        "region": clouds.REGION,
        "release_bucket": clouds.BUCKET,
        "adder_key": key,
        "adder_sha256": sha256,
        "secret_id": clouds.SECRETS["tally_adder"],
        "database_host": clouds.DATABASE_HOST,
        "hosts": "tally.example.com",
        "log_group": "tally-adder",
        "certificates": authority.read_text(),
        "version": "0123456789abcdef0123456789abcdef01234567",
    }


def bastion_of_the_guest(authority: Path, forward_from: str) -> dict[str, str]:
    """Give the template's variables for a bastion there, trusting what `authority` vouches for.

    It is the way out of some subnets, separated by commas, or of none.
    """
    return {
        "name": "tally",
        "region": clouds.REGION,
        "secret_id": clouds.SECRETS["tally_operator"],
        "database_host": clouds.DATABASE_HOST,
        "log_group": "/tally/bastion",
        "certificates": authority.read_text(),
        "forward_from": forward_from,
    }


def render(folder: Path, machine: str, values: dict[str, str]) -> str:
    """Render the user data of a machine, by its folder in deploy/, by Terraform."""
    return _evaluate(folder, machine, values, "base64encode").decode()


def compress(folder: Path, machine: str, values: dict[str, str]) -> bytes:
    """The same, compressed as Terraform sends it."""
    return _evaluate(folder, machine, values, "base64gzip")


def _evaluate(folder: Path, machine: str, values: dict[str, str], function: str) -> bytes:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    (folder / "main.tf").write_text(_RENDERING)
    variables = {"deploy": f"{PROJECT / 'deploy' / machine}", "machine": values}
    (folder / "terraform.tfvars.json").write_text(json.dumps(variables))
    done = subprocess.run(
        ["terraform", f"-chdir={folder}", "console"],
        input=f"{function}(local.user_data)",
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "CHECKPOINT_DISABLE": "1"},
    )
    return base64.b64decode(done.stdout.strip().strip('"'))
