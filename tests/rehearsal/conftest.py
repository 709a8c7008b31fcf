"""A copy of the deployment to be changed, and its network."""

import os
from contextlib import closing, contextmanager

import boto3
import pytest

from rehearsal.found import Found
from rehearsal.network import Network
from rehearsal.packets import Prober
from rehearsal.standing import standing
from tests.support.containers import new_engine
from tests.support.images import build
from tests.support.programs import need


@pytest.fixture(scope="session")
def networks():
    if os.geteuid() != 0:
        pytest.skip("only root makes networks")
    need("ip", "nft")


@pytest.fixture(scope="session")
def session():
    """It keeps AWS's service descriptions, which are large."""
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture
def account(production, session, monkeypatch):
    """A copy of the deployment: reads what stands in it now."""
    with production.copy() as copy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", copy.emulator.url)
        yield lambda: Found(copy.name, session)


@pytest.fixture
def probed(networks):
    """Stands up the network of what is found, with a prober."""

    @contextmanager
    def stand_up(found):
        with closing(Network(found)) as network, closing(Prober(network)) as prober:
            yield network, prober

    return stand_up


@pytest.fixture(scope="session")
def release():
    """An engine, and the images that it has."""
    if os.geteuid() != 0:
        pytest.skip("only root builds and runs images here")
    need("buildah", "debootstrap", "haproxy", "ip", "nft", "podman", "runc")
    with new_engine() as engine:
        yield engine, build(engine)


@pytest.fixture(scope="module")
def all_of_it(production, session, release):
    """Stands everything up: gives what is found, and what stands."""

    @contextmanager
    def stand_up():
        with production.copy() as copy, pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", copy.emulator.url)
            found = Found(copy.name, session)
            with standing(found, *release, print) as it:
                yield found, it

    return stand_up
