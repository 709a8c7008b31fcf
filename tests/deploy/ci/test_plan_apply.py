"""Plan, approval, apply: the workflow's own jobs, on an emulated AWS.

A plan is applied exactly as it was approved, or not at all.
"""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.ci.release import Release, record
from tests.support.checkout import MODULE, NAME, Checkout
from tests.support.deployment import ACCOUNT, Deployment, release
from tests.support.github import REVIEWED, GitHub
from tests.support.workflow_runner import Done, Runner, StepFailed

WORKFLOW = "terraform-plan-apply.yml"
FIRST, SECOND = "1" * 40, "2" * 40

Make = Callable[..., Runner]

# What GitHub gives the run of each morning.
SCHEDULED = {
    "inputs.release": "",
    "github.event_name == 'workflow_dispatch'": "false",
    "github.event_name == 'schedule'": "true",
}


@pytest.fixture(scope="module", autouse=True)
def _released(account: Deployment) -> None:
    """Both releases, as the building workflow records them."""
    for version in (FIRST, SECOND):
        described = Release(**release(NAME, version))
        record(account.client("s3"), f"{NAME}-releases-{ACCOUNT}", described)


@pytest.fixture(scope="module")
def before(runner: Make) -> tuple[Done, str]:
    """Where nothing is deployed: the run of a morning, and a refusal to plan no release."""
    scheduled = runner(WORKFLOW, **SCHEDULED).run("plan")
    return scheduled, refusal(runner(WORKFLOW, **{"inputs.release": ""}), "plan")


@pytest.fixture(scope="module")
def first(runner: Make, before: object) -> tuple[Runner, Done, Done]:
    """A first release: planned, approved, applied."""
    machine = runner(WORKFLOW, **{"inputs.release": FIRST})
    return machine, machine.run("plan"), machine.run("apply")


@pytest.fixture(scope="module")
def second(runner: Make, first: object) -> tuple[Runner, Done]:
    """A second release, planned and waiting for its approval."""
    machine = runner(WORKFLOW, **{"inputs.release": SECOND})
    return machine, machine.run("plan")


@pytest.fixture
def waiting(second: tuple[Runner, Done], tmp_path: Path) -> Runner:
    """The waiting plan in a copy, to be spoilt."""
    shutil.copytree(second[0].artefacts, tmp_path, dirs_exist_ok=True)
    return replace(second[0], artefacts=tmp_path)


@pytest.fixture
def elsewhere(checkout: Checkout) -> Iterator[Checkout]:
    """The checkout, to commit to; afterwards it is where it was."""
    commit = checkout.commit
    yield checkout
    checkout.go_to(commit)


def deployed(account: Deployment) -> str:
    found = account.client("ssm").get_parameter(Name=f"/{NAME}/release")
    return str(found["Parameter"]["Value"])


def refusal(machine: Runner, job: str = "apply") -> str:
    """Why the job stopped; whatever comes after the refusal would be a bug."""
    with pytest.raises(StepFailed) as failed:
        machine.run(job)
    said = [line for line in str(failed.value).splitlines() if line.startswith("Refused: ")]
    assert said, failed.value
    assert str(failed.value).rstrip().endswith(said[-1])
    return "\n".join(said)


def sealed(machine: Runner) -> Path:
    return machine.artefacts / "plan" / "sealed-plan.json"


def test_the_approved_plan_is_applied(
    first: tuple[Runner, Done, Done], account: Deployment, second: object
) -> None:
    _, planned, applied = first
    assert planned.outputs["changes"] == "true"
    assert "The plan is the approved one" in applied.log
    assert "Apply complete! Resources: 2 added, 0 changed, 0 destroyed." in applied.log
    # The second is planned by now, and changes nothing.
    assert deployed(account) == FIRST


def test_the_page_shows_what_is_approved(second: tuple[Runner, Done], checkout: Checkout) -> None:
    _, planned = second
    facts = json.loads(planned.outputs["facts"])
    assert facts["commit"] == checkout.commit
    assert facts["state_serial"] != "0"
    for name in ("plan_sha256", "commit", "lock_sha256", "state_lineage"):
        assert f"`{facts[name]}`" in planned.page
    assert f"serial {facts['state_serial']}," in planned.page
    assert f"| release | `{SECOND}` |" in planned.page
    assert "| change | `aws_ssm_parameter.release` | " in planned.page
    assert "`value`" in planned.page
    assert "Terraform's description" in planned.page


def test_what_waits_can_be_read_by_nobody(second: tuple[Runner, Done]) -> None:
    machine, _ = second
    waiting = sorted(path.name for path in (machine.artefacts / "plan").iterdir())
    assert waiting == ["sealed-plan.json", "summary.md"]
    # A plan is a zip file.
    assert base64.b64decode(json.loads(sealed(machine).read_text())["plan"])[:2] != b"PK"


def test_only_the_applying_role_may_open_a_plan(account: Deployment) -> None:
    key = account.client("kms").describe_key(KeyId=f"alias/{NAME}-plans")["KeyMetadata"]["KeyId"]
    policy = account.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    given = {
        statement["Sid"]: (statement["Action"], statement["Principal"]["AWS"].rpartition("/")[2])
        for statement in json.loads(policy)["Statement"]
        if statement["Effect"] == "Allow" and statement["Sid"] != "AccountAdministers"
    }
    assert given == {
        "PlanSeals": ("kms:GenerateDataKey", f"{NAME}-ci-plan"),
        "ApplyOpens": ("kms:Decrypt", f"{NAME}-ci-apply"),
    }
    denied = next(each for each in json.loads(policy)["Statement"] if each["Effect"] == "Deny")
    assert denied["Action"] == "kms:Decrypt"
    assert list(denied["Condition"]) == ["ArnNotEquals"]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("plan", "The sealed plan was changed after it was sealed."),
        ("key", "The sealed plan's key was changed, or belongs to another plan."),
    ],
)
def test_a_tampered_plan_is_refused(
    waiting: Runner, account: Deployment, part: str, reason: str
) -> None:
    parts = json.loads(sealed(waiting).read_text())
    spoilt = bytearray(base64.b64decode(parts[part]))
    spoilt[-1] ^= 1
    parts[part] = base64.b64encode(spoilt).decode()
    sealed(waiting).write_text(json.dumps(parts))
    assert reason in refusal(waiting)
    assert deployed(account) == FIRST


def test_another_approved_plan_is_refused(
    waiting: Runner, first: tuple[Runner, Done, Done]
) -> None:
    shutil.copy(sealed(first[0]), sealed(waiting))
    said = refusal(waiting)
    assert "The sealed plan is not the approved one." in said
    assert "plan_sha256" in said


def test_another_plan_under_the_approved_facts_is_refused(
    waiting: Runner, first: tuple[Runner, Done, Done]
) -> None:
    parts = json.loads(sealed(first[0]).read_text())
    parts["facts"] = json.loads(sealed(waiting).read_text())["facts"]
    sealed(waiting).write_text(json.dumps(parts))
    assert "The sealed plan's key was changed, or belongs to another plan." in refusal(waiting)


def test_a_plan_that_nobody_had_to_approve_is_refused(waiting: Runner, reviewed: GitHub) -> None:
    reviewed.environments["production"] = []
    try:
        assert "Nobody must approve an apply to production" in refusal(waiting)
    finally:
        reviewed.environments["production"] = REVIEWED


def test_what_is_no_plan_is_refused(waiting: Runner) -> None:
    sealed(waiting).write_text("PK")
    assert "The sealed plan can't be read" in refusal(waiting)


def test_another_commits_plan_is_refused(waiting: Runner, elsewhere: Checkout) -> None:
    before = elsewhere.commit
    (elsewhere.folder / "infra" / "more.tf").write_text('output "more" { value = 1 }\n')
    after = elsewhere.commit_all("Add an output")
    said = refusal(waiting)
    assert "The plan was made from another commit" in said
    assert before in said
    assert after in said


def test_a_changed_checkout_is_refused(waiting: Runner, elsewhere: Checkout) -> None:
    (elsewhere.folder / "infra" / "more.tf").write_text('output "more" { value = 1 }\n')
    said = refusal(waiting)
    assert "The checkout differs from its commit:" in said


def test_a_changed_lock_file_is_refused(waiting: Runner, elsewhere: Checkout) -> None:
    lock = elsewhere.folder / "infra" / ".terraform.lock.hcl"
    lock.write_text(lock.read_text() + "# somebody was here\n")
    elsewhere.commit_all("Change the lock file")
    assert "The provider lock file has changed since the plan was made" in refusal(waiting)


def test_a_plan_is_applied_once(first: tuple[Runner, Done, Done], account: Deployment) -> None:
    machine, _, _ = first
    said = refusal(machine)
    # It began the state, so the state's lineage is new too.
    assert "The plan was made against another state" in said
    assert "The state has changed since the plan was made: make a new plan" in said
    assert deployed(account) == FIRST


def test_a_stale_state_is_refused(waiting: Runner, account: Deployment) -> None:
    """As if somebody had applied something in the meantime: S3 holds the next serial."""
    s3 = account.client("s3")
    place = {"Bucket": f"{NAME}-state-{ACCOUNT}", "Key": "tally.tfstate"}
    before = s3.get_object(**place)["Body"].read()
    state = json.loads(before)
    state["serial"] += 1
    s3.put_object(**place, Body=json.dumps(state).encode())
    try:
        said = refusal(waiting)
    finally:
        s3.put_object(**place, Body=before)
    serial = state["serial"]
    assert f"(state_serial: {serial - 1} was approved, {serial} was found)" in said


@pytest.fixture
def _database(account: Deployment) -> Iterator[None]:
    rds, name = account.client("rds"), f"{NAME}-database"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="tally_owner",
        MasterUserPassword="not-a-secret",
    )
    yield
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


@pytest.mark.usefixtures("_database")
def test_replacing_the_database_must_be_asked_for(
    runner: Make, first: object, elsewhere: Checkout
) -> None:
    shutil.copy(MODULE.parent / "module-database.tf", elsewhere.folder / "infra" / "database.tf")
    elsewhere.commit_all("Rename the database's owner")

    machine = runner(WORKFLOW, **{"inputs.release": FIRST})
    said = refusal(machine, "plan")
    assert "would destroy or replace what holds the data: aws_db_instance.main." in said
    assert "run the workflow again with may-destroy-database" in said
    assert not sealed(machine).exists()

    meant = runner(WORKFLOW, **{"inputs.release": FIRST, "inputs.may-destroy-database": "true"})
    planned = meant.run("plan")
    assert "| **replace** | `aws_db_instance.main` | `username` |" in planned.page
    assert "[!CAUTION]" in planned.page
    # What was asked for when planning must be asked for when applying, too.
    meant.expressions = {**meant.expressions, "inputs.may-destroy-database": "false"}
    assert "would destroy or replace what holds the data" in refusal(meant)


def test_an_unknown_release_is_refused(runner: Make) -> None:
    unknown = "3" * 40
    machine = runner(WORKFLOW, **{"inputs.release": unknown})
    assert f"There is no release {unknown}" in refusal(machine, "plan")
    machine = runner(WORKFLOW, **{"inputs.release": "main"})
    assert "'main' is not a release" in refusal(machine, "plan")


def test_where_nothing_is_deployed_nothing_has_drifted(before: tuple[Done, str]) -> None:
    scheduled, refused = before
    assert scheduled.outputs == {"deployed": "false", "changes": "", "facts": ""}
    assert "Nothing is deployed" in scheduled.page
    assert "choose a release" in refused


def test_the_scheduled_plan_is_of_what_runs_and_is_empty(runner: Make, first: object) -> None:
    machine = runner(WORKFLOW, **SCHEDULED)
    planned = machine.run("plan")
    assert planned.outputs == {"deployed": "true", "changes": "false", "facts": ""}
    assert f"| release | `{FIRST}` |" in planned.page
    assert "No resource changes." in planned.page


def test_a_change_by_hand_is_drift(runner: Make, first: object, account: Deployment) -> None:
    ssm = account.client("ssm")
    name = f"/{NAME}/release"
    ssm.put_parameter(Name=name, Value="changed by hand", Overwrite=True)
    machine = runner(WORKFLOW, **SCHEDULED)
    try:
        planned = machine.run("plan")
    finally:
        ssm.put_parameter(Name=name, Value=FIRST, Overwrite=True)
    assert planned.outputs["changes"] == "true"
    assert "| change | `aws_ssm_parameter.release` |" in planned.page


def test_the_check_says_what_is_missing_and_keeps_its_page(runner: Make, first: object) -> None:
    """Almost nothing of what the check asks for stands in this account."""
    machine = runner(WORKFLOW)
    with pytest.raises(StepFailed) as failed:
        machine.run("check")
    assert "fail" in str(failed.value)
    page = (machine.checkout / "build/check.html").read_text()
    assert page.lower().startswith("<!doctype html>")
