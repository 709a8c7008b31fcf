"""The steps from a plan to its apply. They share the files of build/deployment."""

import json
from pathlib import Path
from typing import Any

import boto3
import click

from deploy.ci import database, summary
from deploy.ci import facts as known
from deploy.ci import release as releases
from deploy.ci.approval import require_reviewers
from deploy.ci.deployment import Deployment
from deploy.ci.facts import Facts
from deploy.ci.refused import Refused
from deploy.ci.seal import seal as seal_plan
from deploy.ci.seal import unseal
from deploy.ci.step import of_deployment, output, page
from deploy.ci.terraform import Terraform

MODULE = Path("infra")
FOLDER = Path("build/deployment")
PLAN = FOLDER / "plan"
SHOWN = FOLDER / "plan.json"
FACTS = FOLDER / "facts.json"
RELEASE = FOLDER / "release.tfvars.json"
SEALED = FOLDER / "sealed-plan.json"
SUMMARY = FOLDER / "summary.md"


_may_destroy = click.option("--may-destroy-database", envvar="MAY_DESTROY_DATABASE", type=bool)
_approved = click.option(
    "--approved", envvar="APPROVED", required=True, help="The facts that `seal` printed."
)


@click.command()
@of_deployment
@click.option("--release", envvar="RELEASE", help="A commit; by default the running release.")
@click.option("--drift", envvar="DRIFT", type=bool, help="Plan nothing where nothing is deployed.")
def plan(target: Deployment, release: str | None, drift: bool | None) -> None:
    """Plan a release, and note the facts to approve."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    commit = known.commit(MODULE)
    s3, bucket = boto3.client("s3"), target.release_bucket
    # First, because it fails fast.
    record = releases.read(s3, bucket, release) if release else None
    terraform = Terraform(MODULE)
    terraform.init(target.state_bucket)
    # Before the plan, so that a change in between shows.
    lineage, serial = terraform.state()
    if record is None:
        running = terraform.outputs().get("release")
        if running is None and drift:
            page("Nothing is deployed, so nothing has drifted.\n")
            output(deployed="false")
            return
        if running is None:
            raise Refused("Nothing is deployed yet: choose a release to plan.")
        record = releases.read(s3, bucket, running)
    RELEASE.write_text(record)
    variables = target.write_variables(FOLDER, MODULE)
    terraform.plan(PLAN, [variables, RELEASE])
    facts = Facts(
        environment=target.environment,
        plan_sha256=known.sha256(PLAN),
        commit=commit,
        lock_sha256=known.sha256(MODULE / known.LOCK_FILE),
        state_lineage=lineage,
        state_serial=serial,
    )
    FACTS.write_text(facts.to_json())
    shown = terraform.show(PLAN)
    SHOWN.write_text(json.dumps(shown))
    output(deployed="true", changes=str(shown["applyable"]).lower())


@click.command()
def summarise() -> None:
    """Show the plan and its facts on the run's page."""
    release = json.loads(RELEASE.read_text())["release"]
    facts = Facts.from_json(FACTS.read_text())
    text = summary.summarise(json.loads(SHOWN.read_text()), facts, release)
    SUMMARY.write_text(text)
    page(text + summary.details(Terraform(MODULE).describe(PLAN)))


@click.command()
@of_deployment
@_may_destroy
def seal(target: Deployment, may_destroy_database: bool | None) -> None:
    """Encrypt the plan, and output the facts that open it."""
    require_reviewers(target)
    _protect_database(json.loads(SHOWN.read_text()), may_destroy_database)
    facts = Facts.from_json(FACTS.read_text())
    SEALED.write_text(seal_plan(boto3.client("kms"), target.seal_key, PLAN.read_bytes(), facts))
    output(facts=facts.to_json())


@click.command()
@of_deployment
@_may_destroy
@_approved
def verify(target: Deployment, may_destroy_database: bool | None, approved: str) -> None:
    """Open the sealed plan if it is the approved one and nothing has changed since."""
    require_reviewers(target)
    facts = Facts.from_json(approved)
    opened = unseal(boto3.client("kms"), target.seal_key, SEALED.read_text(), facts)
    PLAN.write_bytes(opened)
    # Before Terraform runs, so that it never sees another commit's configuration or providers.
    found = Facts(
        environment=target.environment,
        plan_sha256=known.sha256(PLAN),
        commit=known.commit(MODULE),
        lock_sha256=known.sha256(MODULE / known.LOCK_FILE),
        state_lineage=facts.state_lineage,
        state_serial=facts.state_serial,
    )
    _same(facts, found)
    terraform = Terraform(MODULE)
    terraform.init(target.state_bucket)
    lineage, serial = terraform.state()
    _same(facts, Facts(**{**vars(found), "state_lineage": lineage, "state_serial": serial}))
    _protect_database(terraform.show(PLAN), may_destroy_database)
    print("The plan is the approved one, and nothing has changed since it was made.")


@click.command()
@of_deployment
@_approved
def apply(target: Deployment, approved: str) -> None:
    """Apply the plan that `verify` opened."""
    if known.sha256(PLAN) != Facts.from_json(approved).plan_sha256:
        raise Refused("The plan is not the approved one.")
    target.write_variables(FOLDER, MODULE)
    Terraform(MODULE).apply(PLAN)


def _same(approved: Facts, found: Facts) -> None:
    if differences := known.differences(approved, found):
        raise Refused(*differences)


def _protect_database(shown: dict[str, Any], may_destroy: bool | None) -> None:
    lost = database.lost(shown)
    if lost and not may_destroy:
        raise Refused(
            f"The plan would destroy or replace what holds the data: {', '.join(lost)}."
            " To allow that, run the workflow again with may-destroy-database."
        )
