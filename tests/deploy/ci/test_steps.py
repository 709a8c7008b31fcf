"""Small parts of the steps, where the jobs' own tests would be a long way round."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from deploy.ci import database, summary
from deploy.ci.deployment import Deployment
from deploy.ci.facts import Facts, differences
from deploy.ci.patience import patiently
from deploy.ci.practised import Practised
from deploy.ci.refused import Refused

FACTS = Facts("production", "a" * 64, "b" * 40, "c" * 64, "lineage", "7")
RELEASE = {"version": "d" * 40}


def change(address: str, *actions: str, **more: object) -> dict[str, object]:
    return {
        "address": address,
        "type": address.split(".")[-2],
        "change": {"actions": list(actions), "before": None, "after": None, **more},
    }


@pytest.mark.parametrize("kind", ["aws_db_instance", "aws_kms_key", "aws_rds_cluster"])
@pytest.mark.parametrize("actions", [("delete",), ("delete", "create"), ("create", "delete")])
def test_losing_what_holds_the_data_is_seen(kind: str, actions: tuple[str, ...]) -> None:
    address = f"module.inner.{kind}.main"
    assert database.lost({"resource_changes": [change(address, *actions)]}) == [address]


@pytest.mark.parametrize("actions", [("no-op",), ("create",), ("update",), ("read",), ("forget",)])
def test_other_changes_of_it_lose_nothing(actions: tuple[str, ...]) -> None:
    plan = {"resource_changes": [change("aws_db_instance.main", *actions)]}
    assert database.lost(plan) == []


def test_replacing_anything_else_is_no_loss() -> None:
    plan = {"resource_changes": [change("aws_instance.bastion", "delete", "create")]}
    assert database.lost(plan) == []


def test_the_summary_names_what_changes_and_no_values() -> None:
    plan = {
        "resource_changes": [
            change("aws_a.same", "no-op"),
            change("aws_a.new", "create", after={"password": "hidden"}),
            change(
                "aws_a.changed",
                "update",
                before={"size": 1, "kept": "hidden"},
                after={"size": 2, "kept": "hidden"},
                after_unknown={"arn": True},
            ),
            change(
                "aws_a.replaced", "delete", "create", replace_paths=[["name"], ["disk", 0, "size"]]
            ),
            change("aws_a.gone", "delete"),
        ],
        "output_changes": {"address": {"actions": ["update"]}, "other": {"actions": ["no-op"]}},
    }
    rows = [
        line for line in summary.summarise(plan, FACTS, RELEASE).splitlines() if "aws_a" in line
    ]
    assert rows == [
        "| create | `aws_a.new` |  |",
        "| change | `aws_a.changed` | `arn`, `size` |",
        "| **replace** | `aws_a.replaced` | `disk`, `name` |",
        "| **destroy** | `aws_a.gone` |  |",
    ]
    text = summary.summarise(plan, FACTS, RELEASE)
    assert "Outputs that change: `address`." in text
    assert "hidden" not in text


def test_terraforms_words_cannot_leave_their_box() -> None:
    shown = summary.details("a ````` b")
    assert shown.count("``````\n") == 2


def test_a_page_is_no_longer_than_github_takes() -> None:
    assert len(summary.details("x" * 2_000_000).encode()) < 1024 * 1024


def test_every_fact_that_differs_is_said() -> None:
    other = Facts("staging", "1" * 64, "2" * 40, "3" * 64, "other", "8")
    said = differences(FACTS, other)
    assert len(said) == 6
    assert "(state_serial: 7 was approved, 8 was found)" in said[-1]
    assert differences(FACTS, FACTS) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"plan_sha256": "a"}', FACTS.to_json().replace('"7"', "7")]
)
def test_facts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="can't be read"):
        Facts.from_json(text)


def test_facts_survive_the_way_from_job_to_job() -> None:
    assert Facts.from_json(FACTS.to_json()) == FACTS
    assert "\n" not in FACTS.to_json()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "must be as deploy/ci/deployment.py says"),
        ({"account": 123456789012, "variables": {}}, "12 digits, as text"),
        ({"account": "1" * 12, "variables": {}}, "must give its name"),
        ({"account": "1" * 12, "variables": {"name": "a", "release": {}}}, "not give the release"),
    ],
)
def test_a_deployment_that_is_none_is_refused(given: object, said: str) -> None:
    with pytest.raises(Refused, match=said):
        Deployment.from_json(json.dumps({"production": given}), "production")


@pytest.mark.parametrize("text", ["", "[", "1"])
def test_deployments_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="DEPLOYMENTS must be as"):
        Deployment.from_json(text, "production")


def test_an_environment_without_a_deployment_is_refused() -> None:
    with pytest.raises(Refused, match="DEPLOYMENTS has no 'staging'"):
        Deployment.from_json("{}", "staging")


def test_patience_looks_once_at_least_and_then_refuses() -> None:
    turns = patiently(0, "It is still there")
    next(turns)
    with pytest.raises(Refused, match="It is still there after 0 minutes"):
        next(turns)


ASKED = datetime(2026, 12, 3, 8, 41, tzinfo=UTC)


@pytest.mark.parametrize(("restorable", "lost"), [(-150, 150), (0, 0), (5, 0)])
def test_what_the_backup_lacked_is_said_in_seconds(restorable: int, lost: int) -> None:
    until, took = ASKED + timedelta(seconds=restorable), timedelta(minutes=20)
    practised = Practised(ASKED, until, took, 41, "12.5", 42)
    assert f"1200 s until it was audited, {lost} s of the ledger not" in str(practised)
    assert f"| seconds of the ledger that the backup lacked | {lost} |" in practised.page()
    # A schedule's description has room for 512 characters.
    assert len(str(practised)) < 512
