"""The steps that the workflows call, a command each. What they leave lies in build/deployment."""

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import click

from deploy.ci import database, summary
from deploy.ci import facts as known
from deploy.ci import release as releases
from deploy.ci.deployment import Deployment
from deploy.ci.facts import Facts
from deploy.ci.refused import Refused
from deploy.ci.seal import seal as seal_plan
from deploy.ci.seal import unseal
from deploy.ci.terraform import Terraform

MODULE = Path("infra")
FOLDER = Path("build/deployment")
PLAN = FOLDER / "plan"
SHOWN = FOLDER / "plan.json"
FACTS = FOLDER / "facts.json"
RELEASE = FOLDER / "release.tfvars.json"
SEALED = FOLDER / "sealed-plan.json"
SUMMARY = FOLDER / "summary.md"


def _of_deployment(step: Callable[..., None]) -> Callable[..., None]:
    """Give a step the deployment of its environment, as its first argument."""

    @click.option("--deployments", envvar="DEPLOYMENTS", required=True)
    @click.option("--environment", envvar="ENVIRONMENT", required=True)
    @functools.wraps(step)
    def chosen(deployments: str, environment: str, **options: object) -> None:
        step(Deployment.from_json(deployments, environment), **options)

    return chosen


_may_destroy = click.option("--may-destroy-database", envvar="MAY_DESTROY_DATABASE", type=bool)
_approved = click.option(
    "--approved", envvar="APPROVED", required=True, help="The facts, as `seal` gave them."
)
_commit = click.option("--commit", envvar="GITHUB_SHA", required=True)


@click.group()
def main() -> None:
    """Do one step of a workflow."""


@main.command()
@_of_deployment
def target(chosen: Deployment) -> None:
    """Say which account the deployment is in, and what it is called."""
    _output(account=chosen.account, name=chosen.name)


@main.command()
@_of_deployment
@click.option("--release", envvar="RELEASE", help="A commit; if none is given, what runs.")
def plan(target: Deployment, release: str | None) -> None:
    """Plan a release, and note the facts that an approval is given for."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    commit = known.commit(MODULE)
    s3, bucket = boto3.client("s3"), target.release_bucket
    # Before all that takes longer.
    record = releases.read(s3, bucket, release) if release else None
    terraform = Terraform(MODULE)
    terraform.init(target.state_bucket)
    # Before the plan: a change in between makes the plan stale, never fresh.
    lineage, serial = terraform.state()
    RELEASE.write_text(record or releases.read(s3, bucket, _running(terraform)))
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
    _output(changes=str(shown["applyable"]).lower())


@main.command()
def summarise() -> None:
    """Show the plan and its facts on the run's page."""
    release = json.loads(RELEASE.read_text())["release"]
    facts = Facts.from_json(FACTS.read_text())
    text = summary.summarise(json.loads(SHOWN.read_text()), facts, release)
    SUMMARY.write_text(text)
    _page(text + summary.details(Terraform(MODULE).describe(PLAN)))


@main.command()
@_of_deployment
@_may_destroy
def seal(target: Deployment, may_destroy_database: bool | None) -> None:
    """Encrypt the plan, and give out the facts that it can be opened for."""
    _protect_database(json.loads(SHOWN.read_text()), may_destroy_database)
    facts = Facts.from_json(FACTS.read_text())
    SEALED.write_text(seal_plan(boto3.client("kms"), target.seal_key, PLAN.read_bytes(), facts))
    _output(facts=facts.to_json())


@main.command()
@_of_deployment
@_may_destroy
@_approved
def verify(target: Deployment, may_destroy_database: bool | None, approved: str) -> None:
    """Open the sealed plan if it is the approved one and everything is still as it was planned."""
    facts = Facts.from_json(approved)
    opened = unseal(boto3.client("kms"), target.seal_key, SEALED.read_text(), facts)
    PLAN.write_bytes(opened)
    # Before Terraform runs: it must not meet another commit's configuration or providers.
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


@main.command()
@_of_deployment
@_approved
def apply(target: Deployment, approved: str) -> None:
    """Apply the plan that `verify` opened, and none other."""
    if known.sha256(PLAN) != Facts.from_json(approved).plan_sha256:
        raise Refused("The plan is not the approved one.")
    target.write_variables(FOLDER, MODULE)
    Terraform(MODULE).apply(PLAN)


@main.command()
@_of_deployment
@_commit
@click.option("--dist", type=click.Path(path_type=Path), default=Path("dist"), show_default=True)
@click.option("--registry", help="A registry's URL, instead of ECR: for tests.")
def push(target: Deployment, commit: str, dist: Path, registry: str | None) -> None:
    """Push both images and upload the adder's file, each named by the commit.

    What is recorded of it later also names the image of the adder's machines.
    """
    ecr = boto3.client("ecr")

    def push_to(chosen: releases.Registry) -> dict[str, str]:
        return {
            service: chosen.push(f"{target.name}/{service}", commit, dist / f"{service}.tar")
            for service in releases.SERVICES
        }

    if registry:
        images = push_to(releases.Registry(ecr, registry))
    else:
        with releases.logged_in(ecr) as chosen:
            images = push_to(chosen)
    s3, bucket = boto3.client("s3"), target.release_bucket
    key, sha256 = releases.upload_adder(s3, bucket, commit, dist / "tally.pex")
    release = releases.Release(
        version=commit,
        display_image=images["display"],
        reset_image=images["reset"],
        adder_key=key,
        adder_sha256=sha256,
        adder_image=releases.adder_image(boto3.client("ssm"), s3, bucket, commit),
    )
    (dist / "release.json").write_text(release.to_json())
    for service, image in images.items():
        name, _, digest = image.partition("@")
        _output(**{f"{service}-name": name, f"{service}-digest": digest})


@main.command()
@_of_deployment
@click.option("--dist", type=click.Path(path_type=Path), default=Path("dist"), show_default=True)
def record(target: Deployment, dist: Path) -> None:
    """Record what was pushed as a release, which can be planned from then on."""
    text = (dist / "release.json").read_text()
    release = releases.Release(**json.loads(text)["release"])
    releases.record(boto3.client("s3"), target.release_bucket, release)
    _page(f"## Release {release.version}\n\n```json\n{text}```\n")


def _running(terraform: Terraform) -> str:
    running = terraform.outputs().get("release")
    if not running:
        raise Refused("Nothing is deployed yet: say which release to plan.")
    return str(running)


def _same(approved: Facts, found: Facts) -> None:
    if differences := known.differences(approved, found):
        raise Refused(*differences)


def _protect_database(shown: dict[str, Any], may_destroy: bool | None) -> None:
    lost = database.lost(shown)
    if lost and not may_destroy:
        raise Refused(
            f"The plan would destroy or replace what holds the data: {', '.join(lost)}."
            " If that is meant, run the workflow again with may-destroy-database."
        )


def _output(**values: str) -> None:
    """Give values to the workflow's later steps and jobs."""
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a") as outputs:
            outputs.writelines(f"{name}={value}\n" for name, value in values.items())


def _page(text: str) -> None:
    """Show Markdown on the run's page."""
    if file := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(file).open("a") as page:
            page.write(text)


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        for line in refusal.args:
            print(f"Refused: {line}", file=sys.stderr)
        _page("".join(f"\n> [!CAUTION]\n> Refused: {line}\n" for line in refusal.args))
        sys.exit(1)
