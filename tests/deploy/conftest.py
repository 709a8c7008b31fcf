"""One network, one cloud, two releases and two machines for all tests of a deployment."""

import gzip
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guests import images, release, rendering
from tests.support.guests.cloud import Cloud, cloud
from tests.support.guests.guest import Guest, guest
from tests.support.guests.network import network
from tests.support.guests.release import Release


@pytest.fixture(scope="session")
def the_cloud() -> Iterator[Cloud]:
    with network() as made, cloud(made) as running:
        yield running


def _release(folder: Path, cloud: Cloud, version: str) -> Release:
    file, sha256 = release.build(release.copy_of_sources(folder / version, version))
    key = f"adder/{version}/tally.pex"
    cloud.upload(file, key)
    return Release(file, key, sha256)


@pytest.fixture(scope="session")
def old_release(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return _release(tmp_path_factory.mktemp("old"), the_cloud, "1.0.1")


@pytest.fixture(scope="session")
def new_release(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return _release(tmp_path_factory.mktemp("new"), the_cloud, "1.0.2")


@pytest.fixture(scope="session")
def user_data(
    the_cloud: Cloud, old_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> str:
    values = rendering.adder_of_the_guest(the_cloud.authority, old_release.key, old_release.sha256)
    return rendering.render(tmp_path_factory.mktemp("terraform"), "adder", values)


@pytest.fixture(scope="session")
def machine(the_cloud: Cloud, user_data: str) -> Iterator[Guest]:
    """The adder's machine, made by its user data."""
    # Compressed, as Terraform sends it.
    with guest(the_cloud, images.ADDER, gzip.compress(user_data.encode())) as booted:
        yield booted


@pytest.fixture(scope="session")
def bastion_user_data(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    values = rendering.bastion_of_the_guest(the_cloud.authority)
    return rendering.render(tmp_path_factory.mktemp("terraform"), "bastion", values)


@pytest.fixture(scope="session")
def operators_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair as docs/deploy.md makes it: the private file; the public one is beside it."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed: apt install openssh-client")
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
