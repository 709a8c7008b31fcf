"""The adder's machine, and a release to upgrade it to."""

import gzip
from collections.abc import Iterator

import pytest

from tests.support.guests import images, release
from tests.support.guests.cloud import Cloud
from tests.support.guests.guest import Guest, guest
from tests.support.guests.release import Release


@pytest.fixture(scope="session")
def new_release(the_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return release.publish(tmp_path_factory.mktemp("new"), the_cloud, "1.0.2")


@pytest.fixture(scope="session")
def machine(the_cloud: Cloud, user_data: str) -> Iterator[Guest]:
    """The adder's machine, made by its user data."""
    # Compressed, as Terraform sends it.
    with guest(the_cloud, images.ADDER, gzip.compress(user_data.encode())) as booted:
        yield booted
