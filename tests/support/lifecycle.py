"""What a deployment goes through after its first apply, and what was seen of it."""

import json
from dataclasses import dataclass
from typing import Any

from tests.support.deployment import Deployment, plan, release
from tests.support.inventory import Clients, Resource, everything

ROLES = ("adder", "display", "reset", "operator")
# What is bad of each deployment's bad releases, by where it shows: they answer with errors wherever
# they run, or their schema step fails.
BAD = {
    "production": {"containers": {"display_image": f"registry/tally/display@sha256:bad{'0' * 61}"}},
    "small": {
        "schema": {
            f"{service}_image": f"registry/tally/{service}@sha256:bad5c{'0' * 59}"
            for service in ("display", "reset")
        },
        "machines": {"adder_sha256": f"bad{'0' * 61}"},
    },
}


@dataclass(frozen=True)
class Failure:
    """Seen after a bad release."""

    said: str
    running: dict[str, str]
    # Of the task definitions that container services run: whether more tasks may start from them.
    definitions: dict[str, str]
    # What another apply would do: try again, and no more.
    next_plan: dict[str, Any]


@dataclass(frozen=True)
class WayIn:
    """Seen after an apply: the address, the load balancer behind it, and what was called for it."""

    address: str
    balancer: str
    calls: list[str]

    @classmethod
    def after(cls, deployment: Deployment, *options: str) -> "WayIn":
        """Apply, and look."""
        earlier = len(calls(deployment))
        deployment.infra("apply", "-auto-approve", *options)
        called = calls(deployment)[earlier:]
        return cls(deployment.output("address"), deployment.balancer(), called)


@dataclass(frozen=True)
class SecondLife:
    """Seen of a deployment that is made and destroyed again."""

    # For each snapshot, once the deployment's key is gone, the key that reads it.
    restored_under: dict[str, str]
    # RDS's own key.
    rds_key: str
    snapshots: set[str]


@dataclass(frozen=True)
class Lifecycle:
    """Seen after each step of a lifecycle."""

    # By where each bad release shows.
    failures: dict[str, Failure]
    upgraded_to: set[str]
    rolled_back_to: set[str]
    # Of the machines, after the upgrade and after the way back.
    machine_images: tuple[set[str], set[str]]
    refreshes: list[str]
    # With a domain, and then without.
    ways_in: "tuple[WayIn, WayIn]"
    passwords: dict[str, str]
    rotated_passwords: dict[str, str]
    after_destroy: frozenset[Resource]
    # One profile's: of all that a deployment has, the database alone leaves something behind.
    second_lives: list[SecondLife]
    after_bootstrap_destroy: frozenset[Resource]


def live(deployment: Deployment) -> Lifecycle:
    """Bad releases, a good one, the way back, new passwords, and the end of everything."""
    failures = {
        where: fail(deployment, release(deployment.name, version=f"{number}" * 40) | bad)
        for number, (where, bad) in enumerate(BAD[deployment.profile].items(), 3)
    }
    # The alarm still rings.
    newer = f"-var=release={json.dumps(release(deployment.name, version='2' * 40))}"
    # The same apply gives the deployment a domain, and the next takes it away.
    domain = [f"-var={name}={value}" for name, value in deployment.domain().items()]
    with_domain = WayIn.after(deployment, newer, *domain)
    upgraded_to = set(running_versions(deployment.name, deployment.client).values())
    newer_images = machine_images(deployment.name, deployment.client)
    before = passwords(deployment)
    # One apply for three things, each of which the guide does alone: back to the older release, new
    # passwords, and the protection taken off.
    without_domain = WayIn.after(deployment, "-var=password_version=2", "-var=protect=false")
    rolled_back_to = set(running_versions(deployment.name, deployment.client).values())
    older_images = machine_images(deployment.name, deployment.client)
    refreshes = deployment.client("autoscaling").describe_instance_refreshes(
        AutoScalingGroupName=f"{deployment.name}-adder"
    )["InstanceRefreshes"]
    after = passwords(deployment)
    deployment.infra("destroy", "-auto-approve", "-var=protect=false")
    after_destroy = frozenset(everything(deployment.client))
    second_lives = [live_again(deployment)] if deployment.profile == "production" else []
    deployment.bootstrap("apply", "-auto-approve", "-var=protect=false")
    deployment.bootstrap("destroy", "-auto-approve", "-var=protect=false")
    return Lifecycle(
        failures=failures,
        upgraded_to=upgraded_to,
        rolled_back_to=rolled_back_to,
        machine_images=(newer_images, older_images),
        refreshes=[it["Status"] for it in reversed(refreshes)],
        ways_in=(with_domain, without_domain),
        passwords=before,
        rotated_passwords=after,
        after_destroy=after_destroy,
        second_lives=second_lives,
        after_bootstrap_destroy=frozenset(everything(deployment.client)),
    )


def live_again(deployment: Deployment) -> SecondLife:
    """Under the same names: the database, and the end of it."""
    again = ("apply", "-auto-approve", "-var=protect=false", "-target=aws_db_instance.main")
    deployment.infra(*again)
    restored_under = restore_all(deployment)
    deployment.infra("destroy", "-auto-approve", "-var=protect=false")
    rds_key = deployment.client("kms").describe_key(KeyId="alias/aws/rds")["KeyMetadata"]["Arn"]
    return SecondLife(restored_under, rds_key, snapshots(deployment))


def snapshots(deployment: Deployment) -> set[str]:
    """The snapshots that somebody asked for."""
    found = deployment.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    return {it["DBSnapshotIdentifier"] for it in found}


def restore_all(deployment: Deployment) -> dict[str, str]:
    """Restore each snapshot; give its key, and delete what was restored."""
    rds = deployment.client("rds")
    found = {}
    for snapshot in snapshots(deployment):
        restored = rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="again",
            DBSnapshotIdentifier=snapshot,
            DBParameterGroupName=f"{deployment.name}-postgres17",
        )["DBInstance"]
        found[snapshot] = restored["KmsKeyId"]
        rds.modify_db_instance(DBInstanceIdentifier="again", DeletionProtection=False)
        rds.delete_db_instance(DBInstanceIdentifier="again", SkipFinalSnapshot=True)
    return found


def calls(deployment: Deployment) -> list[str]:
    """The actions that were called so far, oldest first."""
    lines = deployment.emulator.calls.read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]


def passwords(deployment: Deployment) -> dict[str, str]:
    """What each role's secret holds."""
    secrets = deployment.client("secretsmanager")
    return {
        role: secrets.get_secret_value(SecretId=f"{deployment.name}/{role}")["SecretString"]
        for role in ROLES
    }


def fail(deployment: Deployment, bad: dict[str, str]) -> Failure:
    """Apply a release that makes an alarm ring."""
    variable = f"-var=release={json.dumps(bad)}"
    try:
        deployment.infra("apply", "-auto-approve", variable)
    except AssertionError as failure:
        said = str(failure)
    else:
        said = "the apply did not fail"
    return Failure(
        said,
        running_versions(deployment.name, deployment.client),
        {
            service: definition["taskDefinition"]["status"]
            for service, definition in task_definitions(deployment.name, deployment.client).items()
        },
        plan(deployment, variable),
    )


def machines(name: str, client: Clients) -> list[dict[str, Any]]:
    """The adder's machines."""
    reservations = client("ec2").describe_instances(
        Filters=[
            {"Name": "tag:Name", "Values": [f"{name}-adder"]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
    )["Reservations"]
    return [machine for reservation in reservations for machine in reservation["Instances"]]


def machine_images(name: str, client: Clients) -> set[str]:
    """What the adder's machines were made from."""
    return {machine["ImageId"] for machine in machines(name, client)}


def password_versions(name: str, client: Clients) -> set[int]:
    """The version of the password that the adder's machines took when they started."""
    return {int(tag(it["Tags"], "PasswordVersion")) for it in machines(name, client)}


def task_definitions(name: str, client: Clients) -> dict[str, Any]:
    """What each container service runs, with its tags."""
    ecs = client("ecs")
    services = ecs.describe_services(
        cluster=f"{name}-containers",
        services=[f"{name}-display", f"{name}-reset"],
    )["services"]
    return {
        service["serviceName"].removeprefix(f"{name}-"): ecs.describe_task_definition(
            taskDefinition=service["taskDefinition"], include=["TAGS"]
        )
        for service in services
    }


def running_versions(name: str, client: Clients) -> dict[str, str]:
    """The release that each service's tasks and machines run."""
    versions = {
        service: tag(definition["tags"], "Release")
        for service, definition in task_definitions(name, client).items()
    }
    [versions["adder"]] = {tag(machine["Tags"], "Release") for machine in machines(name, client)}
    return versions


def tag(tags: list[dict[str, str]], key: str) -> str:
    """The one tag of that key, as ECS writes tags or as the others do."""
    [value] = [it.get("value") or it["Value"] for it in tags if (it.get("key") or it["Key"]) == key]
    return value
