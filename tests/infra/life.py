"""What a deployment goes through after its first apply, and what was seen of it."""

import json
from dataclasses import dataclass

from tests.infra.inventory import Thing, everything
from tests.infra.stand import Stand, release

ROLES = ("adder", "display", "reset", "operator")


@dataclass(frozen=True)
class Life:
    """Seen after each step of a life."""

    upgraded_to: set[str]
    rolled_back_to: set[str]
    refreshes: int
    passwords: dict[str, str]
    rotated_passwords: dict[str, str]
    after_destroy: frozenset[Thing]
    after_bootstrap_destroy: frozenset[Thing]


def live(stand: Stand) -> Life:
    """An upgrade, the way back, new passwords, and the end of everything."""
    newer = f"-var=release={json.dumps(release(stand.name, version='2' * 40))}"
    stand.deployment("apply", "-auto-approve", newer)
    upgraded_to = running_versions(stand)
    stand.deployment("apply", "-auto-approve")
    rolled_back_to = running_versions(stand)
    refreshes = stand.client("autoscaling").describe_instance_refreshes(
        AutoScalingGroupName=f"{stand.name}-adder"
    )["InstanceRefreshes"]
    before = passwords(stand)
    # The switch that takes the protection off, on the way.
    stand.deployment("apply", "-auto-approve", "-var=password_version=2", "-var=protect=false")
    after = passwords(stand)
    stand.deployment("destroy", "-auto-approve", "-var=protect=false")
    after_destroy = frozenset(everything(stand.client))
    stand.bootstrap("apply", "-auto-approve", "-var=protect=false")
    stand.bootstrap("destroy", "-auto-approve", "-var=protect=false")
    return Life(
        upgraded_to=upgraded_to,
        rolled_back_to=rolled_back_to,
        refreshes=len(refreshes),
        passwords=before,
        rotated_passwords=after,
        after_destroy=after_destroy,
        after_bootstrap_destroy=frozenset(everything(stand.client)),
    )


def passwords(stand: Stand) -> dict[str, str]:
    """What each role's secret holds."""
    secrets = stand.client("secretsmanager")
    return {
        role: secrets.get_secret_value(SecretId=f"{stand.name}/{role}")["SecretString"]
        for role in ROLES
    }


def running_versions(stand: Stand) -> set[str]:
    """The releases of the tasks that services run, and of the machines to come."""
    ecs = stand.client("ecs")
    services = ecs.describe_services(
        cluster=f"{stand.name}-containers",
        services=[f"{stand.name}-display", f"{stand.name}-reset"],
    )["services"]
    tasks = [
        ecs.describe_task_definition(taskDefinition=service["taskDefinition"], include=["TAGS"])
        for service in services
    ]
    versions = {tag["value"] for task in tasks for tag in task["tags"] if tag["key"] == "Release"}
    [group] = stand.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return versions | {tag["Value"] for tag in group["Tags"] if tag["Key"] == "Release"}
