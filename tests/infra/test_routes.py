"""The load balancer's path rules, taken from the plan, in front of the real services."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.deployment import Deployment, planned
from tests.support.postgres import Ledger
from tests.support.processes import address

SERVICES = ("adder", "display", "reset")
CONTRACT = json.loads(files("tally.services").joinpath("openapi.json").read_bytes())


class Router:
    """What the load balancer does with a path: the first rule that fits, else the default."""

    def __init__(self, resources: list[dict[str, Any]]) -> None:
        of_type: dict[str, list[dict[str, Any]]] = {}
        for resource in resources:
            of_type.setdefault(resource["type"], []).append(resource["values"])
        service_of = {
            group["arn"]: group["tags"]["Name"].rpartition("-")[2]
            for group in of_type["aws_lb_target_group"]
        }
        self.rules = [
            (re.compile(_pattern(pattern)), service_of[rule["action"][0]["target_group_arn"]])
            for rule in sorted(of_type["aws_lb_listener_rule"], key=lambda rule: rule["priority"])
            for condition in rule["condition"]
            for paths in condition["path_pattern"]
            for pattern in sorted(paths["values"])
        ]
        [self.default] = [
            action["fixed_response"][0]["status_code"]
            for listener in of_type["aws_lb_listener"]
            for action in listener["default_action"]
            if action["type"] == "fixed-response"
        ]

    def service(self, path: str) -> str | None:
        """The service that a path goes to, or None for the listener's own answer."""
        return next((name for pattern, name in self.rules if pattern.fullmatch(path)), None)


def _pattern(pattern: str) -> str:
    """A load balancer's pattern as a regular expression: `*` is any letters, `?` is one."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


@pytest.fixture(scope="module", params=["production", "small"])
def router(deployments: dict[str, Deployment], request: pytest.FixtureRequest) -> Router:
    return Router(planned(deployments[request.param]))


@pytest.fixture
def running(ledger: Ledger, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The three services, a process each, on one database: name to address."""
    processes = {}
    for name in SERVICES:
        with (tmp_path / f"{name}.log").open("wb") as log:
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tally", "serve", name, "--port", "0"],
                env={**os.environ, "TALLY_DATABASE_URL": ledger.url(f"tally_{name}")},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
    try:
        yield {
            name: address(processes[name], tmp_path / f"{name}.log").rstrip("/")
            for name in SERVICES
        }
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(timeout=60)


def requests_of_the_contract() -> list[tuple[str, str]]:
    """Each method and path of the contract, with something real in the place of parameters."""
    examples = {"{id}": "1", "{name}": "tally.css"}
    found = []
    for path, methods in CONTRACT["paths"].items():
        for parameter, example in examples.items():
            path = path.replace(parameter, example)  # noqa: PLW2901 - filled in step by step
        found += [(method.upper(), path) for method in methods]
    return found


def knows(address: str, method: str, path: str) -> bool:
    """Whether a service has this resource: it answers, if only that it wants another body."""
    with httpx.stream(method, f"{address}{path}", timeout=60) as answer:
        if answer.status_code == 404:
            answer.read()
            return "no such page or resource" not in answer.text
        return answer.status_code != 405


def test_every_path_of_the_contract_reaches_the_service_that_owns_it(
    router: Router, running: dict[str, str]
) -> None:
    asked = requests_of_the_contract()
    assert len(asked) > 20
    for method, path in asked:
        reached = router.service(path)
        assert reached is not None, f"{method} {path} reaches nothing"
        owners = [name for name in SERVICES if knows(running[name], method, path)]
        assert reached in owners, f"{method} {path} reaches {reached}, but is of {owners}"


@pytest.mark.parametrize(
    "path", ["/admin", "/display", "/metrics", "/.git/config", "/Adder_service", "//adder_service"]
)
def test_anything_else_is_not_found(router: Router, path: str) -> None:
    assert router.service(path) is None
    assert router.default == "404"


def test_no_health_check_names_a_path_that_its_service_lacks(
    deployments: dict[str, Deployment], running: dict[str, str]
) -> None:
    for resource in planned(deployments["production"]):
        if resource["type"] == "aws_lb_target_group":
            service = resource["values"]["tags"]["Name"].rpartition("-")[2]
            [check] = resource["values"]["health_check"]
            answer = httpx.get(f"{running[service]}{check['path']}")
            assert str(answer.status_code) == check["matcher"]
