"""The adder's machines: the auto scaling group, what its machines are made from, and releases."""

import json
import re
from collections.abc import Iterator
from typing import Final

from tally.aws.iam_policies import SESSION_MANAGER, adder_role, allowed_actions, allowing
from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.predicates import at_least, empty, given, includes
from tally.aws.requirement import Concern, Evidence, NotApplicable, Verdict, hold, named, verdict
from tally.aws.user_data import directives, no_secret, written

concern = Concern("Machines of the adder")
requires = concern.requires

# The services log in with certificates checked against AWS's own roots.
VERIFIED: Final = re.compile(r"postgresql://[^\s\"']*sslmode=verify-full[^\s\"']*sslrootcert=")
_SHA256: Final = re.compile(r"\b[0-9a-f]{64}\b")
_UNIT: Final = "/etc/systemd/system/tally-adder.service"
# What keeps the adder from the rest of its machine: of each directive, the value that counts.
_HARDENED: Final = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "SystemCallFilter": "@system-service",
}
_CARDS: Final = "(LaunchTemplateData.NetworkInterfaces || `[]`)"
_ROOT: Final = ("", "0", "root")
_NOT_ROOT: Final = "User= or DynamicUser=yes"
# Where a machine's role is to be had.
_METADATA: Final = "169.254.169.254"


_group = named("AutoScalingGroupName", lambda aws: [aws.autoscaling.adder_group])
_instances = named("InstanceId", lambda aws: aws.ec2.instances)


def _template(aws: Inventory) -> list[tuple[str, Resource]]:
    template = aws.ec2.adder_template
    return [(f"{template['LaunchTemplateId']} version {template['VersionNumber']}", template)]


def _newest_refresh(aws: Inventory) -> list[tuple[str, Resource]]:
    if not aws.autoscaling.instance_refreshes:
        raise NotApplicable("no release has followed the first: AWS keeps no setting before that")
    newest = aws.autoscaling.instance_refreshes[0]
    name = aws.autoscaling.adder_group["AutoScalingGroupName"]
    return [(f"{name} refresh {newest['InstanceRefreshId']}", newest)]


def _public_subnets(aws: Inventory, group: Resource) -> list[str]:
    subnets = group["VPCZoneIdentifier"].split(",")
    return [subnet for subnet in subnets if aws.ec2.internet_gateways(subnet)]


requires("machines-zones", "The adder's machines have subnets in two zones").field(
    _group, lambda aws, it: aws.ec2.zones(it["VPCZoneIdentifier"].split(",")), at_least(2), "zones"
)
_two = requires("machines-two", "There are at least two machines of the adder").not_if_small(
    "the small profile has one machine of the adder"
)
_two.field(_group, "MinSize", at_least(2))
_two.field(_group, "DesiredCapacity", at_least(2))
_health = requires("machines-health", "A machine that the load balancer finds unwell is replaced")
_health.field(_group, "HealthCheckType", "ELB")
_health.field(_group, "TargetGroupARNs", given)
_health.field(_group, "SuspendedProcesses[].ProcessName", empty, "suspended")
# The adder's machines are made from the template; the API of each says what holds.
_metadata = requires(
    "machines-metadata",
    "Machines answer the metadata service's second version only",
    "EC2.8",
    "CIS 5.7",
)
_metadata.field(_template, "LaunchTemplateData.MetadataOptions.HttpTokens", "required")
_metadata.field(_instances, "MetadataOptions.HttpTokens", "required")
_disks = requires("machines-disks", "Disks are encrypted", "EC2.3")
_disks.field(
    _template,
    "LaunchTemplateData.BlockDeviceMappings[?Ebs.Encrypted != `true`].DeviceName",
    empty,
    "in plain",
)
_disks.field(named("VolumeId", lambda aws: aws.ec2.volumes), "Encrypted", True)
_private = requires("machines-private", "The adder's machines get no public address", "EC2.25")
_private.field(_template, f"length({_CARDS}[?AssociatePublicIpAddress])", 0, "public addresses")


_private.field(_group, _public_subnets, empty, "public subnets")
_user_data = requires(
    "machines-user-data",
    "User data holds no secret, pins the release by SHA-256 and locks the adder's service in",
)
_user_data.field(_template, lambda _, it: bool(_SHA256.search(it["UserData"])), True, "is pinned")


@_user_data.each(_template)
def _no_secret(_: Inventory, template: Resource) -> Verdict:
    return no_secret(template["UserData"])


@_user_data.each(_template)
def _hardened(_: Inventory, template: Resource) -> Verdict:
    told = directives(written(template["UserData"], _UNIT))
    # The first of a filter's values says whether it is a list of what is allowed.
    found = [
        f"{name}={told[name][0 if name == 'SystemCallFilter' else -1]}"
        for name in _HARDENED
        if name in told
    ]
    if told.get("User", ["root"])[-1] not in _ROOT or told.get("DynamicUser") == ["yes"]:
        found.append(_NOT_ROOT)
    if _METADATA in " ".join(told.get("IPAddressDeny", [])).split():
        found.append(f"IPAddressDeny={_METADATA}")
    wanted = [f"{name}={value}" for name, value in _HARDENED.items()]
    return verdict(_UNIT, found, includes([*wanted, _NOT_ROOT, f"IPAddressDeny={_METADATA}"]))


requires("machines-tls", "The adder checks the database's certificate").field(
    _template, lambda _, it: bool(VERIFIED.search(it["UserData"])), True, "certificate is verified"
)

# What the adder's machines need: AWS's own name for each action.
_NEEDED: Final = {
    *("s3:GetObject", "secretsmanager:GetSecretValue", "kms:Decrypt"),
    *("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
    # To be looked into.
    *("logs:DescribeLogGroups", *SESSION_MANAGER),
}


@requires("machines-role", "The adder's machines may do exactly what they need")
def _role(aws: Inventory) -> Iterator[Evidence]:
    role = adder_role(aws)
    actions = allowed_actions(aws, role)
    more, fewer = sorted(actions - _NEEDED), sorted(_NEEDED - actions)
    yield hold(role, "more than needed", more, empty)
    yield hold(role, "missing", fewer, empty)
    # Its own password, and its own releases.
    own = {
        "secretsmanager:GetSecretValue": rf".*:secret:{aws.name}/adder-.*",
        "s3:GetObject": rf".*:::{aws.name}-releases-\d+/adder/.*",
    }
    for statement in allowing(aws, role):
        for action in sorted(own.keys() & set(statement.get("Action", []))):
            others = [it for it in statement["Resource"] if not re.fullmatch(own[action], it)]
            yield Evidence(role, not others, f"{action} of others: {json.dumps(others)}")


_refresh = requires(
    "machines-refresh", "A new release replaces the machines, and a bad one is rolled back"
)
_refresh.field(_newest_refresh, "Status", "Successful")
_refresh.field(
    _newest_refresh, "DesiredConfiguration.LaunchTemplate.Version", given, "desired version"
)
_refresh.field(_newest_refresh, "Preferences.AutoRollback", True)
_refresh.field(_newest_refresh, "Preferences.MinHealthyPercentage", 100)
