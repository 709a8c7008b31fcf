"""The bastion, booted with the user data that Terraform renders, and its operator."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guests import images
from tests.support.guests.cloud import Cloud
from tests.support.guests.guest import Guest, guest
from tests.support.guests.operator import Operator
from tests.support.programs import need


@pytest.fixture(scope="session")
def operators_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair as docs/deploy.md makes it: the private file; the public one is beside it."""
    need("ssh-keygen")
    file = tmp_path_factory.mktemp("ssh") / "id_rsa"
    make = ["ssh-keygen", "-q", "-t", "rsa", "-b", "4096", "-N", "", "-f", file]
    subprocess.run(make, check=True)
    return file


@pytest.fixture(scope="session")
def bastion(the_cloud: Cloud, bastion_user_data: str, operators_key: Path) -> Iterator[Guest]:
    """The bastion, made by its user data, with the operator's key."""
    public_key = operators_key.with_suffix(".pub").read_text()
    with guest(the_cloud, images.BASTION, bastion_user_data.encode(), public_key) as booted:
        yield booted


@pytest.fixture(scope="session")
def operator(
    bastion: Guest, operators_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Operator:
    folder = tmp_path_factory.mktemp("operator")
    host_key = (bastion.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (folder / "known_hosts").write_text(f"{bastion.address} {host_key}")
    return Operator(bastion, operators_key, folder)
