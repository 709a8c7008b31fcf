"""A copy of the deployment to be changed, and its network."""

import os
import shutil
import ssl
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import boto3
import httpx
import pytest

from rehearsal.found import Found
from rehearsal.network import Network
from rehearsal.packets import Prober
from rehearsal.standing import standing
from tests.support.containers import Engine
from tests.support.images import build
from tests.support.processes import wait_for
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
    folder = Path(tempfile.mkdtemp(prefix="tally-images-"))
    with closing(Engine(folder)) as engine:
        yield engine, build(engine)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def all_of_it(production, session, release):
    """Stands everything up, and returns once every service is ready: what is found, what stands,
    and a client of that."""

    @contextmanager
    def stand_up():
        with production.copy() as copy, pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", copy.emulator.url)
            found = Found(copy.name, session)
            with standing(found, *release, print) as it, asking(it) as client:
                wait_for(lambda: all_ready(client), said=lambda: said(it))
                yield found, it, client

    return stand_up


@contextmanager
def asking(stands):
    """A client that looks at the front's certificate."""
    trusted = ssl.create_default_context(cafile=stands.authority)
    with httpx.Client(base_url=stands.url, verify=trusted) as client:
        yield client


def all_ready(client):
    asked = [client.get(f"/{it}_service/readyz") for it in ("adder", "display", "reset")]
    return all(it.status_code == 200 for it in asked)


def said(stands):
    """The logs of all containers."""
    return [stands.containers.engine.podman("logs", it) for it in stands.serving.values()]
