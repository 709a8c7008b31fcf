"""A check of a deployment on an emulated AWS, or of a copy that was changed."""

from collections import defaultdict
from datetime import UTC, date, datetime
from functools import cache

import boto3
import pytest
from botocore.exceptions import ClientError

from tally.aws.check import Report, Result, Status, check
from tally.aws.inventory import Inventory
from tally.aws.reachability import Matrix
from tally.aws.requirement import Evidence, Requirement
from tally.aws.waivers import Waiver, read_waivers
from tests.support.emulator.touched import HEADER
from tests.support.mutations.cloud import Cloud
from tests.support.paths import INFRA


@pytest.fixture(scope="session")
def session():
    """One session for all: it keeps AWS's service descriptions, which are large."""
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")


class Sparing:
    """A session that asks a copy of an emulator only what a change may have touched.

    What was answered by other services alone, another copy has answered already.
    """

    def __init__(self, session, touched, answers):
        self._session = session
        self._touched = touched
        self._answers = answers

    def client(self, service, **options):
        client = self._session.client(service, **options)
        ask = client._make_api_call
        client._make_api_call = lambda *asked: self._answer((service, repr(asked)), ask, asked)
        return client

    def _answer(self, key, ask, asked):
        if key in self._answers and not self._touched & self._answers[key][1]:
            answer, _ = self._answers[key]
        else:
            try:
                answer = ask(*asked)
            except ClientError as refusal:
                answer = refusal
            by = {key[0], *services(getattr(answer, "response", answer))}
            if not self._touched & by:
                self._answers[key] = answer, by
        if isinstance(answer, ClientError):
            raise answer
        return answer


def services(answer):
    """The services of AWS whose state was looked up for an answer."""
    return answer["ResponseMetadata"]["HTTPHeaders"][HEADER].split()


@pytest.fixture(scope="session")
def answers():
    """What each deployment answered where nothing had touched it, and which services did."""
    return defaultdict(dict)


@pytest.fixture
def look(session, monkeypatch, answers):
    """Checks a deployment, as it is or in a copy of its emulator.

    With what a change has touched, it asks for nothing else again.
    """

    def look(deployment, emulator=None, waivers=None, touched=None):
        monkeypatch.setenv("AWS_ENDPOINT_URL", (emulator or deployment.emulator).url)
        known = read_waivers(INFRA / "waivers.toml") if waivers is None else waivers
        asking = session if touched is None else Sparing(session, touched, answers[deployment.name])
        return check(Inventory(deployment.name, session=asking), known)

    return look


@pytest.fixture
def cloud(session):
    """Gives a deployment in a copy of its emulator, to be changed; and notes what is touched."""

    def cloud(deployment, emulator, touched=None):
        def note(parsed, model, **_):
            if touched is not None and not model.name.startswith(("Describe", "Get", "List")):
                touched.update({model.service_model.service_name, *services(parsed)})

        @cache
        def client(service):
            made = session.client(service, endpoint_url=emulator.url, region_name="us-east-1")
            made.meta.events.register("after-call", note)
            return made

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


def result(name, status, evidence, waiver=None, controls=()):
    requirement = Requirement(name, f"What {name} is about", controls)
    return Result("Network", requirement, status, (evidence,), waiver)


@pytest.fixture
def report():
    """A report with each status once."""
    waiver = Waiver("waived", "too dear", "operator", date(2027, 1, 31))
    results = (
        result(
            "good", Status.PASS, Evidence("sg-1", True, "no rules"), controls=("EC2.2", "CIS 5.5")
        ),
        result("bad", Status.FAIL, Evidence("sg-2 <b>", False, "0.0.0.0/0 on 22")),
        result(
            "waived", Status.WAIVED, Evidence("secret", False, "RotationEnabled = False"), waiver
        ),
        result("elsewhere", Status.NOT_APPLICABLE, Evidence("-", True, "there is no peering")),
    )
    matrix = Matrix(
        names=("the internet", "load balancer", "adder"),
        found={("load balancer", "adder"): {"8080"}, ("the internet", "adder"): {"22"}},
        declared={("load balancer", "adder"): {"8080"}, ("adder", "load balancer"): {"80"}},
        paths={"/adder_service*": "adder"},
    )
    taken = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
    address = "https://d1.cloudfront.net"
    return Report("tally", "123456789012", "production", address, taken, results, matrix, ())
