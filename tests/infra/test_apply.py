"""After an apply: nothing left to do, no secret to be read; after a destroy: nothing left."""

import json
import re
import subprocess
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.support.deployment import (
    ACCOUNT,
    REGION,
    Deployment,
    aws_command,
    plan,
    planned,
    release,
)
from tests.support.inventory import Resource
from tests.support.lifecycle import ROLES, Lifecycle, passwords
from tests.support.paths import INFRA

# What a second plan may still want to change, because the emulator does not keep it: resource and
# attribute, with the reason. AWS keeps all of these.
NOT_KEPT = {
    ("aws_cloudfront_distribution.main", "default_cache_behavior"): (
        "forwarded values are given back where a policy stands in their place"
    ),
    ("aws_cloudfront_distribution.main", "viewer_certificate"): (
        "a way to tell names apart is given back for CloudFront's own certificate"
    ),
    ("aws_db_parameter_group.main", "parameter"): "parameters that an engine has by default",
    ("aws_vpc_security_group_*_rule.*", "description"): "descriptions of rules that name a group",
}

# What may remain after a destroy, by kind and pattern of its name, with the reason.
REMAINS = {
    ("kms key", "*"): "AWS deletes a key only after a waiting time of days; it is scheduled",
    ("database snapshot", "*-final-*-kept"): "the last state of the data, kept on purpose",
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


def test_a_second_plan_is_empty(deployment: Deployment) -> None:
    assert kept_changes(deployment.second_plan) == {}


def test_what_is_not_kept_is_still_not_kept(deployments: dict[str, Deployment]) -> None:
    changes = {
        change
        for deployment in deployments.values()
        for change in wanted_changes(deployment.second_plan)
    }
    kept = [
        forgotten
        for forgotten in NOT_KEPT
        if not any(matches(change, *forgotten) for change in changes)
    ]
    assert kept == []


def kept_changes(described: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """What a plan would change, less what the emulator has forgotten."""
    return {
        change: values
        for change, values in wanted_changes(described).items()
        if not any(matches(change, *forgotten) for forgotten in NOT_KEPT)
    }


def matches(change: tuple[str, str], resource: str, attribute: str) -> bool:
    """Only * is special: brackets are part of resources' names."""
    return fnmatch(change[0], resource.replace("[", "[[]")) and change[1] == attribute


def test_a_second_plan_of_the_bootstrap_is_empty(deployment: Deployment) -> None:
    assert "No changes." in deployment.bootstrap("plan")


def test_descriptions_are_such_as_ec2_takes(deployment: Deployment) -> None:
    """EC2's rule for security groups and their rules, which the emulator does not have."""
    described = [
        it["values"]["description"]
        for it in planned(deployment)
        if it["type"].startswith(("aws_security_group", "aws_vpc_security_group"))
    ]
    assert len(described) > 20
    taken = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    assert [text for text in described if not taken.fullmatch(text)] == []


# The check's row `cost-tags` asks AWS, of most kinds of things; here it is all that Terraform tags.
TAGS = {"Project", "Deployment", "Profile", "ManagedBy"}


def untagged(made: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Of what can have tags, by address, that which lacks one, or says another deployment."""
    return {
        address: tags
        for address, values in made.items()
        for tags in [values["tags_all"] or {}]
        if not tags.keys() >= TAGS or tags["Deployment"] != name
    }


def test_everything_made_says_to_which_deployment_it_belongs(deployment: Deployment) -> None:
    made = {
        resource["address"]: resource["values"]
        for resource in planned(deployment)
        if resource["mode"] == "managed" and "tags_all" in resource["values"]
    }
    assert len(made) > 100
    assert untagged(made, deployment.name) == {}


def test_everything_made_by_the_bootstrap_says_so_too(deployment: Deployment) -> None:
    state = json.loads((deployment.folder / "bootstrap.tfstate").read_text())
    made = {
        f"{resource['type']}.{resource['name']}[{number}]": instance["attributes"]
        for resource in state["resources"]
        if resource["mode"] == "managed"
        for number, instance in enumerate(resource["instances"])
        if "tags_all" in instance["attributes"]
    }
    assert len(made) > 10
    assert untagged(made, deployment.name) == {}


def test_it_prints_an_https_address(deployments: dict[str, Deployment]) -> None:
    addresses = {
        profile: deployment.output("address") for profile, deployment in deployments.items()
    }
    assert addresses["small"] == "https://tally.example.com"
    assert addresses["production"].startswith("https://")
    assert addresses["production"].endswith(".cloudfront.net")


def test_a_domain_comes_and_goes_with_one_apply_each(lifecycles: dict[str, Lifecycle]) -> None:
    given, taken = lifecycles["production"].ways_in
    assert given.address == "https://tally.example.com"
    assert taken.address.endswith(".cloudfront.net")
    # Not replaced, which its own deletion protection would refuse.
    assert given.balancer == taken.balancer


def test_the_new_way_in_is_there_before_the_old_one_goes(lifecycles: dict[str, Lifecycle]) -> None:
    for way_in in lifecycles["production"].ways_in:
        switched = way_in.calls.index("UpdateDistribution")
        for made in ("AuthorizeSecurityGroupIngress", "CreateListener", "CreateVpcOrigin"):
            assert way_in.calls.index(made) < switched
        for removed in ("DeleteVpcOrigin", "DeleteListener", "RevokeSecurityGroupIngress"):
            assert way_in.calls.index(removed) > switched


def test_what_starts_waits_for_what_its_role_may_do(production: Deployment) -> None:
    """A task that may not fetch its image yet counts as failed; a machine does not try again."""
    graph = production.terraform(INFRA, "graph")
    needs: dict[str, set[str]] = {}
    for one, other in re.findall(r'^ +"(.+)" -> "(.+)";$', graph, re.MULTILINE):
        needs.setdefault(one, set()).add(other)

    def all_needs(one: str) -> set[str]:
        found, asked = set[str](), {one}
        while asked:
            found |= asked
            asked = {it for each in asked for it in needs.get(each, ())} - found
        return found

    starts = re.compile(r"aws_(autoscaling_group|ecs_service|instance)\.|terraform_data\.schema")
    starting = [it for it in needs if starts.search(it)]
    assert len(starting) == 4
    policies = {
        policy: {role for role in needs[policy] if "aws_iam_role." in role}
        for policy in needs
        if "aws_iam_role_policy." in policy
    }
    for it in starting:
        needed = all_needs(it)
        late = {policy for policy, roles in policies.items() if roles & needed} - needed
        assert late == set(), it


def test_no_alarm_rings_at_a_release_or_before_rds_grows_the_disk(deployment: Deployment) -> None:
    alarms = {
        it["values"]["alarm_name"].removeprefix(f"{deployment.name}-"): it["values"]
        for it in planned(deployment)
        if it["type"] == "aws_cloudwatch_metric_alarm"
    }
    # New machines and tasks start beside the old ones, which serve until those do: what is healthy
    # counts, and not what is not yet.
    for service in ("adder", "display", "reset"):
        alarm = alarms[f"{service}-unhealthy"]
        assert alarm["metric_name"] == "HealthyHostCount"
        assert alarm["comparison_operator"] == "LessThanThreshold"
        assert alarm["threshold"] >= 1
    [database] = [it["values"] for it in planned(deployment) if it["type"] == "aws_db_instance"]
    # RDS grows the disk when a tenth is left.
    grown_at = database["allocated_storage"] * 1024**3 / 10
    assert alarms["database-storage"]["threshold"] < grown_at


def test_no_secret_is_in_the_state(deployment: Deployment) -> None:
    secrets = deployment.client("secretsmanager")
    held = {
        secret["Name"]: json.loads(secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"])
        for secret in secrets.list_secrets()["SecretList"]
    }
    passwords = {name: it.get("password") or it["token"] for name, it in held.items()}
    values = set(passwords.values())
    # Four roles', resetting's, and the owner's, which the database made: the emulator's is short.
    assert len(passwords) == len(values) == 6
    own = [value for name, value in passwords.items() if name.startswith(f"{deployment.name}/")]
    assert [len(value) for value in own] == [40] * 5
    bucket = deployment.client("s3").get_object(
        Bucket=f"{deployment.name}-state-{ACCOUNT}", Key="tally.tfstate"
    )
    for text in (
        bucket["Body"].read().decode(),
        (deployment.folder / "bootstrap.tfstate").read_text(),
    ):
        assert '"resources"' in text
        assert not [value for value in values if value in text]


def test_resetting_needs_a_token_unless_the_deployment_says_otherwise(
    production: Deployment,
) -> None:
    changes = kept_changes(plan(production, "-var=reset_needs_token=false"))
    changed = {address for address, _ in changes}
    assert "aws_secretsmanager_secret.reset_token[0]" in changed
    tasks = {address for address in changed if "aws_ecs_task_definition" in address}
    assert tasks == {'module.container["reset"].module.task.aws_ecs_task_definition.this'}


def test_an_output_says_how_to_read_the_token(production: Deployment) -> None:
    shown = subprocess.run(
        ["sh", "-c", production.output("reset_token")],
        env=production.emulator.environment
        | {"PATH": f"{aws_command(production.folder / 'programs')}:/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert len(json.loads(shown)["token"]) == 40


def test_the_state_is_locked_while_it_is_used(deployment: Deployment) -> None:
    with deployment.copy() as copy:
        copy.client("s3").put_object(
            Bucket=f"{deployment.name}-state-{ACCOUNT}", Key="tally.tfstate.tflock", Body=b"{}"
        )
        with pytest.raises(AssertionError, match="Error acquiring the state lock"):
            copy.infra("apply", "-auto-approve")


def test_a_new_release_replaces_tasks_and_machines_and_nothing_else(production: Deployment) -> None:
    newer = release(production.name, version="2" * 40)
    for image, digit in (("display_image", "d"), ("reset_image", "e")):
        newer[image] = newer[image].replace(digit * 64, "9" * 64)
    changes = kept_changes(plan(production, f"-var=release={json.dumps(newer)}"))
    assert {address for address, _ in changes} == {
        "aws_launch_template.adder",
        "terraform_data.adder_machines",
        "terraform_data.schema",
        "module.practice.aws_ecs_task_definition.this",
        "module.schema.aws_ecs_task_definition.this",
        'module.container["display"].aws_ecs_service.this',
        'module.container["display"].module.task.aws_ecs_task_definition.this',
        'module.container["display"].terraform_data.deployment',
        'module.container["reset"].aws_ecs_service.this',
        'module.container["reset"].module.task.aws_ecs_task_definition.this',
        'module.container["reset"].terraform_data.deployment',
    }


def test_a_schema_step_that_fails_fails_the_apply_and_leaves_what_serves(
    lifecycles: dict[str, Lifecycle],
) -> None:
    unmigrated = lifecycles["small"].failures["schema"]
    assert "tally: a migration fails" in unmigrated.said
    assert "The schema step failed with status 1" in unmigrated.said
    assert unmigrated.running == dict.fromkeys(("adder", "display", "reset"), "1" * 40)
    assert unmigrated.definitions == {"display": "ACTIVE", "reset": "ACTIVE"}
    again = {
        resource["address"]
        for resource in unmigrated.next_plan["resource_changes"]
        if resource.get("action_reason") == "replace_because_tainted"
    }
    assert again == {"terraform_data.schema"}


def test_everything_that_serves_waits_for_the_schema_step(
    lifecycles: dict[str, Lifecycle],
) -> None:
    """With new passwords, and on the way back: it is run, and only then is anything replaced."""
    for lifecycle in lifecycles.values():
        calls = lifecycle.ways_in[1].calls
        assert calls.count("RunTask") == 1
        for replaced in ("UpdateService", "StartInstanceRefresh"):
            assert calls.index(replaced) > calls.index("RunTask")


def test_a_release_that_fails_leaves_what_ran_and_fails_the_apply(
    lifecycles: dict[str, Lifecycle],
) -> None:
    containers = lifecycles["production"].failures["containers"]
    machines = lifecycles["small"].failures["machines"]
    assert "tally-display was rolled back" in containers.said
    # What ECS goes back to has not been taken away, and more tasks of it may start.
    assert containers.definitions == {"display": "ACTIVE", "reset": "ACTIVE"}
    # Machines follow when the containers serve.
    assert containers.running == {"adder": "1" * 40, "display": "1" * 40, "reset": "3" * 40}
    assert "tally-two-adder: RollbackSuccessful: in ALARM: tally-two-adder-errors" in machines.said
    assert machines.running == {"adder": "1" * 40, "display": "4" * 40, "reset": "4" * 40}


def test_a_release_that_failed_is_tried_again_by_the_next_apply(
    lifecycles: dict[str, Lifecycle],
) -> None:
    containers = lifecycles["production"].failures["containers"].next_plan
    machines = lifecycles["small"].failures["machines"].next_plan
    display = 'module.container["display"].aws_ecs_service.this'
    assert (display, "task_definition") in wanted_changes(containers)
    again = {
        resource["address"]: resource["action_reason"]
        for resource in machines["resource_changes"]
        if "action_reason" in resource
    }
    assert again == {"terraform_data.adder_machines": "replace_because_tainted"}


def test_a_rolled_back_release_is_an_apply_of_the_older_one(
    lifecycles: dict[str, Lifecycle],
) -> None:
    for lifecycle in lifecycles.values():
        assert lifecycle.upgraded_to == {"2" * 40}
        assert lifecycle.rolled_back_to == {"1" * 40}
        assert lifecycle.machine_images == ({f"ami-{'2' * 17}"}, {f"ami-{'1' * 17}"})
        assert lifecycle.refreshes[-2:] == ["Successful"] * 2


def test_raising_the_password_version_gives_new_passwords(
    lifecycles: dict[str, Lifecycle], deployments: dict[str, Deployment]
) -> None:
    for profile, lifecycle in lifecycles.items():
        # The upgrade before has not changed them.
        assert lifecycle.passwords == passwords(deployments[profile])
        assert all(lifecycle.passwords[role] != lifecycle.rotated_passwords[role] for role in ROLES)


def test_the_scaler_and_terraform_do_not_fight_over_the_number_of_tasks(
    production: Deployment,
) -> None:
    with production.copy() as copy:
        copy.client("ecs").update_service(
            cluster=f"{copy.name}-containers", service=f"{copy.name}-display", desiredCount=5
        )
        changes = wanted_changes(plan(copy))
    assert not [change for change in changes if change[1] == "desired_count"]


def test_nothing_stands_where_cloudfront_reaches_no_load_balancer(deployment: Deployment) -> None:
    zones = deployment.client("ec2").describe_availability_zones()["AvailabilityZones"]
    [unreached] = [zone["ZoneName"] for zone in zones if zone["ZoneId"] == "use1-az3"]
    # It would be taken as the first, if it were not left out.
    assert unreached == min(zone["ZoneName"] for zone in zones)
    [network] = deployment.client("ec2").describe_vpcs(
        Filters=[{"Name": "tag:Deployment", "Values": [deployment.name]}]
    )["Vpcs"]
    subnets = deployment.client("ec2").describe_subnets(
        Filters=[{"Name": "vpc-id", "Values": [network["VpcId"]]}]
    )["Subnets"]
    taken = {subnet["AvailabilityZone"] for subnet in subnets}
    assert len(taken) == 2
    assert unreached not in taken


def test_the_bucket_for_flow_logs_has_what_aws_would_add(deployment: Deployment) -> None:
    """As AWS's guide to flow logs in S3 has it; the deployment's own statements aside."""
    bucket = f"{deployment.name}-denied-traffic-{ACCOUNT}"
    policy = json.loads(deployment.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    statements = {statement.pop("Sid"): statement for statement in policy["Statement"]}
    source = {"aws:SourceArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:*"}
    assert statements["AWSLogDeliveryWrite"] == {
        "Effect": "Allow",
        "Principal": {"Service": "delivery.logs.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/AWSLogs/{ACCOUNT}/*",
        "Condition": {
            "StringEquals": {
                "aws:SourceAccount": ACCOUNT,
                "s3:x-amz-acl": "bucket-owner-full-control",
            },
            "ArnLike": source,
        },
    }
    assert statements["AWSLogDeliveryAclCheck"] == {
        "Effect": "Allow",
        "Principal": {"Service": "delivery.logs.amazonaws.com"},
        "Action": "s3:GetBucketAcl",
        "Resource": f"arn:aws:s3:::{bucket}",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": source},
    }


def left_behind(after: frozenset[Resource], before: frozenset[Resource]) -> set[Resource]:
    return {
        (kind, name)
        for kind, name in after - before
        if not any(kind == allowed and fnmatch(name, pattern) for allowed, pattern in REMAINS)
    }


def test_destroy_leaves_nothing_behind(
    lifecycles: dict[str, Lifecycle], deployments: dict[str, Deployment]
) -> None:
    for profile, deployment in deployments.items():
        assert len(deployment.before_deployment) > len(deployment.before_bootstrap)
        assert left_behind(lifecycles[profile].after_destroy, deployment.before_deployment) == set()
        assert (
            left_behind(lifecycles[profile].after_bootstrap_destroy, deployment.before_bootstrap)
            == set()
        )


def test_the_last_state_of_the_data_can_be_read_after_a_destroy(
    lifecycles: dict[str, Lifecycle],
) -> None:
    [second] = lifecycles["production"].second_lives
    assert list(second.restored_under.values()) == [second.rds_key]


def test_what_was_destroyed_is_applied_and_destroyed_again(
    lifecycles: dict[str, Lifecycle],
) -> None:
    [second] = lifecycles["production"].second_lives
    assert {*second.restored_under} < second.snapshots
    assert len(second.snapshots) == 2


def test_deletion_is_refused_while_protected(deployment: Deployment) -> None:
    database = deployment.client("rds").describe_db_instances()["DBInstances"][0]
    assert database["DeletionProtection"]
    elbv2 = deployment.client("elbv2")
    [balancer] = elbv2.describe_load_balancers()["LoadBalancers"]
    attributes = elbv2.describe_load_balancer_attributes(
        LoadBalancerArn=balancer["LoadBalancerArn"]
    )["Attributes"]
    assert {"Key": "deletion_protection.enabled", "Value": "true"} in attributes
