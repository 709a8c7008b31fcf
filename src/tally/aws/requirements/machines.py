"""The adder's machines: the auto scaling group, what its machines are made from, and releases."""

import json
import re
from collections.abc import Iterator
from typing import Final

from tally.aws.iam_policies import SESSION_MANAGER, adder_role, allowed_actions, allowing
from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.requirement import Concern, Evidence, NotApplicable, equal, present
from tally.aws.requirements.network import name_of
from tally.aws.user_data import directives, no_secret, written

concern = Concern("Machines of the adder")

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
_ROOT: Final = ("", "0", "root")
# Where a machine's role is to be had.
_METADATA: Final = "169.254.169.254"


def _group(aws: Inventory) -> str:
    return str(aws.autoscaling.adder_group["AutoScalingGroupName"])


def _template(aws: Inventory) -> tuple[str, Resource]:
    template = aws.ec2.adder_template
    name = f"{template['LaunchTemplateId']} version {template['VersionNumber']}"
    return name, template["LaunchTemplateData"]


@concern.requires("machines-zones", "The adder's machines have subnets in two zones")
def _zones(aws: Inventory) -> Iterator[Evidence]:
    group = aws.autoscaling.adder_group
    zones = {
        aws.ec2.subnets[subnet]["AvailabilityZone"]
        for subnet in group["VPCZoneIdentifier"].split(",")
        if subnet in aws.ec2.subnets
    }
    yield Evidence(_group(aws), len(zones) >= 2, ", ".join(sorted(zones)))  # noqa: PLR2004


@concern.requires("machines-two", "There are at least two machines of the adder")
def _two(aws: Inventory) -> Iterator[Evidence]:
    if aws.profile == "small":
        raise NotApplicable("the small profile has one machine of the adder")
    for setting in ("MinSize", "DesiredCapacity"):
        size = aws.autoscaling.adder_group[setting]
        yield Evidence(_group(aws), size >= 2, f"{setting} = {size}")  # noqa: PLR2004


@concern.requires("machines-health", "A machine that the load balancer finds unwell is replaced")
def _health(aws: Inventory) -> Iterator[Evidence]:
    group = aws.autoscaling.adder_group
    yield equal(_group(aws), "HealthCheckType", group["HealthCheckType"], "ELB")
    yield Evidence(
        _group(aws),
        bool(group.get("TargetGroupARNs")),
        f"target groups: {len(group.get('TargetGroupARNs', []))}",
    )
    suspended = [it["ProcessName"] for it in group.get("SuspendedProcesses", [])]
    yield Evidence(_group(aws), not suspended, f"suspended: {', '.join(suspended) or 'nothing'}")


@concern.requires(
    "machines-metadata",
    "Machines answer the metadata service's second version only",
    "EC2.8",
    "CIS 5.7",
)
def _metadata(aws: Inventory) -> Iterator[Evidence]:
    name, data = _template(aws)
    yield equal(name, "HttpTokens", data.get("MetadataOptions", {}).get("HttpTokens"), "required")
    for instance in aws.ec2.instances:
        # The adder's machines are made from the template; the API of each says what holds.
        tokens = instance.get("MetadataOptions", {}).get("HttpTokens")
        yield equal(name_of(instance, "InstanceId"), "HttpTokens", tokens, "required")


@concern.requires("machines-disks", "Disks are encrypted", "EC2.3")
def _disks(aws: Inventory) -> Iterator[Evidence]:
    name, data = _template(aws)
    for mapping in data.get("BlockDeviceMappings", []):
        encrypted = mapping.get("Ebs", {}).get("Encrypted", False)
        yield equal(f"{name} {mapping['DeviceName']}", "Encrypted", encrypted, True)
    for volume in aws.ec2.volumes:
        yield equal(name_of(volume, "VolumeId"), "Encrypted", volume["Encrypted"], True)


@concern.requires("machines-private", "The adder's machines get no public address", "EC2.25")
def _private(aws: Inventory) -> Iterator[Evidence]:
    name, data = _template(aws)
    for card in data.get("NetworkInterfaces", []):
        public = card.get("AssociatePublicIpAddress", False)
        yield equal(name, "AssociatePublicIpAddress", public, False)
    public_subnets = [
        subnet
        for subnet in aws.autoscaling.adder_group["VPCZoneIdentifier"].split(",")
        if any(str(it.get("GatewayId", "")).startswith("igw-") for it in aws.ec2.routes(subnet))
    ]
    found = ", ".join(public_subnets)
    yield Evidence(_group(aws), not public_subnets, f"public subnets: {found or 'none'}")


@concern.requires(
    "machines-user-data",
    "User data holds no secret, pins the release by SHA-256 and locks the adder's service in",
)
def _user_data(aws: Inventory) -> Iterator[Evidence]:
    name, _ = _template(aws)
    text = aws.ec2.adder_template["UserData"]
    yield no_secret(name, text)
    yield Evidence(name, bool(_SHA256.search(text)), "a SHA-256 of the release")
    told = directives(written(text, _UNIT))
    # The first of a filter's values says whether it is a list of what is allowed.
    missing = {
        f"{directive}={value}"
        for directive, value in _HARDENED.items()
        if told.get(directive, [None])[0 if directive == "SystemCallFilter" else -1] != value
    }
    if told.get("User", ["root"])[-1] in _ROOT and told.get("DynamicUser") != ["yes"]:
        missing.add("User= or DynamicUser=yes")
    if _METADATA not in " ".join(told.get("IPAddressDeny", [])).split():
        missing.add(f"IPAddressDeny={_METADATA}")
    yield present(name, missing, f"{_UNIT}: {', '.join(_HARDENED)}, IPAddressDeny, no root")


@concern.requires("machines-tls", "The adder checks the database's certificate")
def _tls(aws: Inventory) -> Iterator[Evidence]:
    name, _ = _template(aws)
    good = bool(VERIFIED.search(aws.ec2.adder_template["UserData"]))
    yield Evidence(
        name, good, "TALLY_DATABASE_URL with sslmode=verify-full" + ("" if good else ": no")
    )


# What the adder's machines need: AWS's own name for each action.
_NEEDED: Final = {
    "s3:GetObject",
    "secretsmanager:GetSecretValue",
    "kms:Decrypt",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "logs:DescribeLogStreams",
}
# And what they need to be looked into; a profile may do without it, but not have half of it.
_NEEDED_FOR_SESSIONS: Final = SESSION_MANAGER | {"logs:DescribeLogGroups"}


@concern.requires("machines-role", "The adder's machines may do exactly what they need")
def _role(aws: Inventory) -> Iterator[Evidence]:
    role = adder_role(aws)
    actions = allowed_actions(aws, role)
    needed = _NEEDED | (_NEEDED_FOR_SESSIONS if actions & SESSION_MANAGER else set())
    more, fewer = sorted(actions - needed), sorted(needed - actions)
    said = f"more: {', '.join(more) or 'none'}; missing: {', '.join(fewer) or 'none'}"
    yield Evidence(role, not more and not fewer, said)
    # Its own password, and its own releases.
    own = {
        "secretsmanager:GetSecretValue": rf".*:secret:{aws.name}/adder-.*",
        "s3:GetObject": rf".*:::{aws.name}-releases-\d+/adder/.*",
    }
    for statement in allowing(aws, role):
        for action in sorted(own.keys() & set(statement.get("Action", []))):
            others = [it for it in statement["Resource"] if not re.fullmatch(own[action], it)]
            yield Evidence(role, not others, f"{action} of others: {json.dumps(others)}")


@concern.requires(
    "machines-refresh", "A new release replaces the machines, and a bad one is rolled back"
)
def _refresh(aws: Inventory) -> Iterator[Evidence]:
    if not aws.autoscaling.instance_refreshes:
        raise NotApplicable("no release has followed the first: AWS keeps no setting before that")
    newest = aws.autoscaling.instance_refreshes[0]
    preferences = newest.get("Preferences", {})
    name = f"{_group(aws)} refresh {newest['InstanceRefreshId']}"
    yield equal(name, "Status", newest["Status"], "Successful")
    desired = newest.get("DesiredConfiguration", {}).get("LaunchTemplate", {})
    version = desired.get("Version")
    way = f"version {version}" if version else "none, and so no way back"
    yield Evidence(name, version is not None, f"DesiredConfiguration: {way}")
    yield equal(name, "AutoRollback", preferences.get("AutoRollback"), True)
    healthy = preferences.get("MinHealthyPercentage")
    yield equal(name, "MinHealthyPercentage", healthy, 100)
