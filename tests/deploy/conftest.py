"""One network, one cloud, two releases and one machine for all tests of a deployment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy import release
from tests.deploy.cloud import Cloud, cloud
from tests.deploy.guest import Guest, guest
from tests.deploy.network import network


@dataclass(frozen=True)
class Release:
    """A release in the bucket."""

    sources: Path
    file: Path
    key: str
    sha256: str


@pytest.fixture(scope="session")
def the_cloud() -> Iterator[Cloud]:
    with network() as made, cloud(made) as running:
        yield running


def _release(folder: Path, cloud: Cloud, version: str) -> Release:
    sources = release.copy_of_sources(folder / version, cloud.authority, version)
    file, sha256 = release.build(sources)
    key = f"adder/{version}/tally.pex"
    cloud.upload(file, key)
    return Release(sources, file, key, sha256)


@pytest.fixture(scope="session")
def old_release(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return _release(tmp_path_factory.mktemp("old"), the_cloud, "1.0.1")


@pytest.fixture(scope="session")
def new_release(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return _release(tmp_path_factory.mktemp("new"), the_cloud, "1.0.2")


@pytest.fixture(scope="session")
def user_data(old_release: Release, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("terraform")
    return release.render(folder, release.machine_of_the_guest(old_release.key, old_release.sha256))


@pytest.fixture(scope="session")
def machine(the_cloud: Cloud, user_data: str) -> Iterator[Guest]:
    """The adder's machine, made by its user data."""
    with guest(the_cloud, user_data) as booted:
        yield booted
