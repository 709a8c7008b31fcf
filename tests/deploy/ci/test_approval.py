"""No apply without somebody who approves it, unless the deployment says so."""

import json
from collections.abc import Iterator

import pytest

from deploy.ci.approval import require_reviewers
from deploy.ci.deployment import Deployment
from deploy.ci.refused import Refused
from tests.support.checkout import DEPLOYMENTS
from tests.support.github import REVIEWED, GitHub, github

PRODUCTION = Deployment.from_json(DEPLOYMENTS, "production")


@pytest.fixture(name="github")
def _github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    with github() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_an_environment_with_reviewers_may_be_applied_to(github: GitHub) -> None:
    github.environments["production"] = REVIEWED
    require_reviewers(PRODUCTION)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{"type": "branch_policy"}],
        [{"type": "wait_timer", "wait_timer": 30}],
        [{"type": "required_reviewers", "reviewers": []}],
    ],
)
def test_an_environment_without_is_refused(github: GitHub, rules: list[dict[str, object]]) -> None:
    github.environments["production"] = rules
    with pytest.raises(Refused, match="Nobody must approve an apply to production: give"):
        require_reviewers(PRODUCTION)


def test_an_environment_that_is_not_there_is_refused(github: GitHub) -> None:
    with pytest.raises(
        Refused, match=r"approve an apply to production \(404 .*make the environment"
    ):
        require_reviewers(PRODUCTION)


def test_a_deployment_may_say_that_nobody_reviews_it(github: GitHub) -> None:
    deployments = json.loads(DEPLOYMENTS)
    deployments["production"]["unreviewed"] = True
    require_reviewers(Deployment.from_json(json.dumps(deployments), "production"))
    deployments["production"]["unreviewed"] = "yes"
    with pytest.raises(Refused, match="unreviewed must be true or false"):
        Deployment.from_json(json.dumps(deployments), "production")
