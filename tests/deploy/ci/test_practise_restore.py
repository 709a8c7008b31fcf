"""A practised restore, as the workflow's own job against an emulated AWS.

Behind the emulated databases stand real ones, and the tasks that read them are real processes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import DEPLOYMENTS, NAME, Checkout
from tests.support.deployment import Deployment
from tests.support.emulator.databases import Real
from tests.support.iam.evaluator import Principal
from tests.support.iam.requests import requests_of, role_arn
from tests.support.postgres import Ledger, execute
from tests.support.processes import wait_for
from tests.support.workflow_runner import Done, Runner, StepFailed, machine

LIVE, RESTORED, OVERDUE = f"{NAME}-database", f"{NAME}-practice", f"{NAME}-restore-overdue"
ROLE = f"{NAME}-ci-practise"
# Entries are as old as a backup's, which ends some minutes ago.
AN_HOUR_AGO = "UPDATE tally.entry SET added_at = added_at - interval '1 hour'"


@pytest.fixture
def deployed(production: Deployment) -> Iterator[Deployment]:
    """A deployment, in which nothing was practised yet."""
    with production.copy() as copy:
        yield copy


@pytest.fixture
def real(deployed: Deployment, ledger: Ledger) -> Iterator[Callable[..., None]]:
    """Puts a ledger of three entries behind the live database, and what is wrong with a copy."""

    def put(**more: Any) -> None:
        own = Real(ledger.url("postgres"), ledger.url("tally_operator"), **more)
        own.put_behind(LIVE, deployed.emulator.databases)

    subprocess.run(
        [sys.executable, "-m", "tally", "add", "12.5", "-3", "0.000000001"],
        env={**os.environ, "TALLY_DATABASE_URL": ledger.owner_url},
        check=True,
    )
    execute(ledger.owner_url, AN_HOUR_AGO)
    put()
    yield put
    (deployed.emulator.databases / LIVE).unlink()


def environment(deployed: Deployment, **more: str) -> dict[str, str]:
    return machine(deployed.emulator.environment) | {"PAUSE": "0.1", "MINUTES": "1", **more}


@pytest.fixture
def practise(
    deployed: Deployment, real: Callable[..., None], checkout: Checkout, tmp_path: Path
) -> Callable[..., Done]:
    """Runs the job."""

    def run(**more: str) -> Done:
        expressions = {
            "vars.DEPLOYMENTS": DEPLOYMENTS,
            "inputs.environment || 'production'": "production",
        }
        return Runner(
            "practise-restore.yml",
            checkout.folder,
            {"PATH": "/usr/bin:/bin", **environment(deployed, **more)},
            expressions,
            tmp_path,
        ).run("practise")

    return run


def nothing_is_left(deployed: Deployment) -> bool:
    rds = deployed.client("rds")
    names = [it["DBInstanceIdentifier"] for it in rds.describe_db_instances()["DBInstances"]]
    return (
        names == [LIVE]
        and not (deployed.emulator.databases / RESTORED).exists()
        and rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"] == []
    )


def rings_from(deployed: Deployment) -> datetime:
    schedule = deployed.client("scheduler").get_schedule(Name=OVERDUE)
    found: datetime = schedule["StartDate"]
    return found


def refusal(practise: Callable[..., Done], **more: str) -> str:
    with pytest.raises(StepFailed) as failed:
        practise(**more)
    return str(failed.value)


def calls(deployed: Deployment) -> list[dict[str, Any]]:
    lines = deployed.emulator.calls.read_text().splitlines()
    return [it for it in map(json.loads, lines) if it["caller"] == ROLE]


def test_a_good_backup_is_restored_audited_compared_and_deleted(
    deployed: Deployment, practise: Callable[..., Done]
) -> None:
    first = rings_from(deployed)
    before = datetime.now(UTC)
    done = practise()
    assert '"clean":true,"checked":3' in done.log
    assert "| entries missing of those until then | 0 |" in done.page
    assert "| total | 9.500000001 after entry 3 |" in done.page
    assert nothing_is_left(deployed)
    # It puts the alarm off, for as long as the deployment has, and says why.
    assert first < before + timedelta(days=40) < rings_from(deployed) < first + timedelta(days=1)
    said = deployed.client("scheduler").get_schedule(Name=OVERDUE)["Description"]
    assert "succeeded" in said
    assert "no entry missing of 3" in said


def test_the_role_may_do_this_and_nothing_else(
    deployed: Deployment, practise: Callable[..., Done]
) -> None:
    practise()
    iam, principal = deployed.client("iam"), Principal("AWS", role_arn(ROLE))
    asked = {it.action for call in calls(deployed) for it in requests_of(call, principal)}
    [attached] = iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
    version = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId="v1")
    statements = version["PolicyVersion"]["Document"]["Statement"]
    listed = [it["Action"] for it in statements]
    given = {it for each in listed for it in ([each] if isinstance(each, str) else each)}
    assert given == asked
    # What makes and deletes names one database alone.
    for statement in statements:
        if "rds:DeleteDBInstance" in statement["Action"]:
            assert statement["Resource"].endswith(f":db:{RESTORED}")


# Not the pipeline's: what those call for is recorded, and held to their policies.
@pytest.mark.parametrize("role", ["display-task", "practice-start"])
def test_another_role_may_not(deployed: Deployment, role: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.ci", "practise"],
        env={
            **environment(deployed, DEPLOYMENTS=DEPLOYMENTS, ENVIRONMENT="production"),
            "AWS_ACCESS_KEY_ID": f"{NAME}-{role}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "is not authorized to perform: rds:" in done.stderr
    assert nothing_is_left(deployed)


def test_it_deletes_no_other_database(deployed: Deployment) -> None:
    rds = deployed.emulator.client("rds", ROLE)
    with pytest.raises(rds.exceptions.ClientError, match="not authorized"):
        rds.delete_db_instance(DBInstanceIdentifier=LIVE, SkipFinalSnapshot=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(
            "UPDATE tally.entry SET value = 13.5 WHERE id = 1",
            "The restored ledger fails its audit: sum_after of entry 1",
            id="damaged",
        ),
        pytest.param(
            "WITH gone AS (DELETE FROM tally.entry WHERE id = 3)"
            " UPDATE tally.total SET last_id = 2, count = 2, sum = 9.5",
            "lacks 1 entries: it has 9.5 after entry 2",
            id="entries-missing",
        ),
    ],
)
def test_a_bad_backup_fails_says_why_and_is_deleted(
    deployed: Deployment,
    real: Callable[..., None],
    practise: Callable[..., Done],
    wrong: str,
    said: str,
) -> None:
    real(spoilt=[wrong])
    before = rings_from(deployed)
    assert said in refusal(practise)
    assert nothing_is_left(deployed)
    assert rings_from(deployed) == before


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("incompatible-restore", f"{RESTORED} is incompatible-restore."),
        ("creating", f"{RESTORED} is not available after 0 minutes."),
    ],
)
def test_what_never_becomes_available_is_deleted(
    deployed: Deployment,
    real: Callable[..., None],
    practise: Callable[..., Done],
    status: str,
    said: str,
) -> None:
    real(status_of_copy=status)
    assert said in refusal(practise, MINUTES="0")
    assert nothing_is_left(deployed)


def test_a_run_after_one_that_was_killed_finds_nothing_of_it(
    deployed: Deployment, real: Callable[..., None], practise: Callable[..., Done]
) -> None:
    real(status_of_copy="creating")
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.ci", "practise"],
        env=environment(
            deployed, DEPLOYMENTS=DEPLOYMENTS, ENVIRONMENT="production", AWS_ACCESS_KEY_ID=ROLE
        ),
    ) as killed:
        wait_for((deployed.emulator.databases / RESTORED).exists)
        killed.kill()
    assert not nothing_is_left(deployed)
    real()
    assert "| entries missing of those until then | 0 |" in practise().page
    assert nothing_is_left(deployed)
