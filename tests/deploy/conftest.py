"""One network, one cloud and one release for all tests of the machines."""

from collections.abc import Iterator

import pytest

from tests.support.guests import release, rendering
from tests.support.guests.cloud import Cloud, cloud
from tests.support.guests.network import network
from tests.support.guests.release import Release


@pytest.fixture(scope="session")
def the_cloud() -> Iterator[Cloud]:
    with network() as made, cloud(made) as running:
        yield running


@pytest.fixture(scope="session")
def old_release(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return release.publish(tmp_path_factory.mktemp("old"), the_cloud, "1.0.1")


@pytest.fixture(scope="session")
def user_data(
    the_cloud: Cloud, old_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> str:
    values = rendering.adder_of_the_guest(the_cloud.authority, old_release.key, old_release.sha256)
    return rendering.render(tmp_path_factory.mktemp("terraform"), "adder", values)


@pytest.fixture(scope="session")
def bastion_user_data(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """That of the profile small, whose bastion is also the way out of the private subnet."""
    subnet = the_cloud.network.private_subnet
    values = rendering.bastion_of_the_guest(the_cloud.authority, subnet)
    return rendering.render(tmp_path_factory.mktemp("terraform"), "bastion", values)
