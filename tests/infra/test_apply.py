"""After an apply: nothing left to do, no secret to be read; after a destroy: nothing left."""

import json
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.infra.inventory import Thing
from tests.infra.stand import ACCOUNT, Stand, plan, release

# What a second plan may still want to change, because the emulator does not keep it: resource and
# attribute, with the reason. AWS keeps all of these.
NOT_KEPT: dict[tuple[str, str], str] = {}

# What may remain after a destroy, by kind and pattern of its name, with the reason.
REMAINS = {
    ("kms key", "*"): "AWS deletes a key only after a waiting time of days; it is scheduled",
    ("database snapshot", "*-final"): "the last state of the data, kept on purpose",
}


def wanted_changes(described: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """Attributes that a plan would change: (resource, attribute) to what it was and would be."""
    return {
        (resource["address"], attribute): (
            (resource["change"]["before"] or {}).get(attribute),
            (resource["change"]["after"] or {}).get(attribute, "known after apply"),
        )
        for resource in described["resource_changes"]
        if resource["change"]["actions"] not in (["no-op"], ["read"])
        for attribute in {
            *(resource["change"]["before"] or {}),
            *(resource["change"]["after"] or {}),
        }
        if (resource["change"]["before"] or {}).get(attribute)
        != (resource["change"]["after"] or {}).get(attribute, "known after apply")
    }


def test_a_second_plan_is_empty(stand: Stand) -> None:
    left = {
        change: values
        for change, values in wanted_changes(plan(stand)).items()
        if not any(
            fnmatch(change[0], resource) and change[1] == attribute
            for resource, attribute in NOT_KEPT
        )
    }
    assert left == {}


def test_a_second_plan_of_the_bootstrap_is_empty(stand: Stand) -> None:
    assert "No changes." in stand.bootstrap("plan")


def test_it_prints_an_https_address(stands: dict[str, Stand]) -> None:
    addresses = {profile: stand.output("address") for profile, stand in stands.items()}
    assert addresses["small"] == "https://tally.example.com"
    assert addresses["production"].startswith("https://")
    assert addresses["production"].endswith(".cloudfront.net")


def test_no_secret_is_in_the_state(stand: Stand) -> None:
    secrets = stand.client("secretsmanager")
    values = [
        json.loads(secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"])["password"]
        for secret in secrets.list_secrets()["SecretList"]
    ]
    # Four roles', and the owner's, which the database made.
    assert len(values) == len(set(values)) == 5
    assert all(len(value) >= 16 for value in values)
    bucket = stand.client("s3").get_object(
        Bucket=f"{stand.name}-state-{ACCOUNT}", Key="tally.tfstate"
    )
    for text in (bucket["Body"].read().decode(), (stand.folder / "bootstrap.tfstate").read_text()):
        assert '"resources"' in text
        assert not [value for value in values if value in text]


def test_the_state_is_locked_while_it_is_used(stand: Stand) -> None:
    with stand.copy() as copy:
        copy.client("s3").put_object(
            Bucket=f"{stand.name}-state-{ACCOUNT}", Key="tally.tfstate.tflock", Body=b"{}"
        )
        with pytest.raises(AssertionError, match="Error acquiring the state lock"):
            copy.deployment("plan")


def test_a_new_release_replaces_tasks_and_machines_and_nothing_else(production: Stand) -> None:
    newer = release(production.name, version="2" * 40)
    newer["display_image"] = newer["display_image"].replace("d" * 64, "9" * 64)
    changes = wanted_changes(plan(production, f"-var=release={json.dumps(newer)}"))
    assert {address for address, _ in changes} == {
        "aws_autoscaling_group.adder",
        "aws_iam_role_policy.adder",
        "aws_launch_template.adder",
        'module.container["display"].aws_ecs_service.this',
        'module.container["display"].aws_ecs_task_definition.this',
        'module.container["reset"].aws_ecs_service.this',
        'module.container["reset"].aws_ecs_task_definition.this',
    }


def test_a_rolled_back_release_is_an_apply_of_the_older_one(production: Stand) -> None:
    newer = f"-var=release={json.dumps(release(production.name, version='2' * 40))}"
    with production.copy() as copy:
        copy.deployment("apply", "-auto-approve", newer)
        assert running_versions(copy) == {"2" * 40}
        copy.deployment("apply", "-auto-approve")
        assert running_versions(copy) == {"1" * 40}
        refreshes = copy.client("autoscaling").describe_instance_refreshes(
            AutoScalingGroupName=f"{copy.name}-adder"
        )
        assert len(refreshes["InstanceRefreshes"]) == 2


def running_versions(stand: Stand) -> set[str]:
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


def test_raising_the_password_version_gives_new_passwords(production: Stand) -> None:
    def passwords(stand: Stand) -> dict[str, str]:
        secrets = stand.client("secretsmanager")
        return {
            role: secrets.get_secret_value(SecretId=f"{stand.name}/{role}")["SecretString"]
            for role in ("adder", "display", "reset", "operator")
        }

    with production.copy() as copy:
        before = passwords(copy)
        copy.deployment("apply", "-auto-approve", "-var=password_version=2")
        after = passwords(copy)
    assert all(before[role] != after[role] for role in before)
    assert passwords(production) == before


def test_the_scaler_and_terraform_do_not_fight_over_the_number_of_tasks(
    production: Stand,
) -> None:
    with production.copy() as copy:
        copy.client("ecs").update_service(
            cluster=f"{copy.name}-containers", service=f"{copy.name}-display", desiredCount=5
        )
        changes = wanted_changes(plan(copy))
    assert not [change for change in changes if change[1] == "desired_count"]


def left_behind(after: frozenset[Thing], before: frozenset[Thing]) -> set[Thing]:
    return {
        (kind, name)
        for kind, name in after - before
        if not any(kind == allowed and fnmatch(name, pattern) for allowed, pattern in REMAINS)
    }


def test_destroy_leaves_nothing_behind(lived: dict[str, Stand]) -> None:
    for stand in lived.values():
        assert len(stand.before_deployment) > len(stand.before_bootstrap)
        assert left_behind(stand.after_destroy, stand.before_deployment) == set()
        assert left_behind(stand.after_bootstrap_destroy, stand.before_bootstrap) == set()


def test_deletion_is_refused_while_protected(stand: Stand) -> None:
    database = stand.client("rds").describe_db_instances()["DBInstances"][0]
    assert database["DeletionProtection"]
    elbv2 = stand.client("elbv2")
    [balancer] = elbv2.describe_load_balancers()["LoadBalancers"]
    attributes = elbv2.describe_load_balancer_attributes(
        LoadBalancerArn=balancer["LoadBalancerArn"]
    )["Attributes"]
    assert {"Key": "deletion_protection.enabled", "Value": "true"} in attributes
