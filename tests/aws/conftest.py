"""A check of a deployment on an emulated AWS, or of a copy that was changed."""

from functools import cache

import boto3
import pytest

from tally.aws.check import check
from tally.aws.inventory import Inventory
from tally.aws.waivers import read_waivers
from tests.support.mutations.cloud import Cloud
from tests.support.paths import INFRA


@pytest.fixture(scope="session")
def session():
    """One session for all: it keeps AWS's service descriptions, which are large."""
    return boto3.Session(aws_access_key_id="stand", aws_secret_access_key="stand")


@pytest.fixture
def look(session, monkeypatch):
    """Checks a deployment, as it is or in a copy of its emulator."""

    def look(deployment, emulator=None, waivers=None):
        monkeypatch.setenv("AWS_ENDPOINT_URL", (emulator or deployment.emulator).url)
        known = read_waivers(INFRA / "waivers.toml") if waivers is None else waivers
        return check(Inventory(deployment.name, session=session), known)

    return look


@pytest.fixture
def cloud(session):
    """Gives a deployment in a copy of its emulator, to be changed."""

    def cloud(deployment, emulator):
        @cache
        def client(service):
            return session.client(service, endpoint_url=emulator.url, region_name="us-east-1")

        return Cloud(deployment.name, client)

    return cloud


@pytest.fixture
def emulator_of():
    """Copies a deployment's emulator; the copies end with the test."""
    copies = []

    def emulator_of(deployment):
        copies.append(deployment.emulator.copy())
        return copies[-1]

    yield emulator_of
    for emulator in copies:
        emulator.stop()
