"""What continuous integration may do, compared with what Terraform did.

The emulator records every call of the bootstrap's and the deployment's life: plan, apply, a new
release, destroy; and of `tally check`. `infra/bootstrap/ci-actions.json` lists what the roles may
do. When a change needs another action, `python -m tests.infra.test_calls FOLDER` prints the list
for a folder of records.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tally.aws.iam_policies import denied
from tally.aws.inventory import AGENT
from tally.aws.inventory.resources import statements
from tests.support.deployment import ACCOUNT, REGION, REPOSITORY_ID, Deployment
from tests.support.lifecycle import Lifecycle
from tests.support.paths import BOOTSTRAP, ROOT

ACTIONS = BOOTSTRAP / "ci-actions.json"

# Where IAM has another name for a service than its API has.
PREFIXES = {"elbv2": "elasticloadbalancing"}
APIS = {prefix: service for service, prefix in PREFIXES.items()}

# Where IAM has another name for a call, or wants several. Source: AWS's service authorization
# reference.
NAMES = {
    "budgets:CreateBudget": ["budgets:ModifyBudget", "budgets:TagResource"],
    "budgets:CreateNotification": ["budgets:ModifyBudget"],
    "budgets:DeleteBudget": ["budgets:ModifyBudget"],
    "budgets:DescribeBudget": ["budgets:ViewBudget"],
    "budgets:DescribeBudgets": ["budgets:ViewBudget"],
    "budgets:DescribeNotificationsForBudget": ["budgets:ViewBudget"],
    "budgets:DescribeSubscribersForNotification": ["budgets:ViewBudget"],
    "cloudfront:CreateDistributionWithTags": [
        *("cloudfront:CreateDistribution", "cloudfront:TagResource"),
    ],
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

# What IAM wants though no call has its name, and why.
IMPLIED = {
    "acm:AddTagsToCertificate": "a certificate is made together with its tags",
    "application-autoscaling:TagResource": "scalable targets are made together with their tags",
    "autoscaling:CancelInstanceRefresh": "an interrupted apply left machines half replaced",
    "autoscaling:RollbackInstanceRefresh": "machines of a release don't start in time",
    "cloudfront:AllowVendedLogDeliveryForResource": "its access logs are made a delivery",
    "cloudwatch:TagResource": "alarms are made together with their tags",
    "cloudfront:TagResource": "a distribution is made together with its tags",
    "ec2:ModifyVpcEndpoint": "another zone or policy of an entrance to an AWS service",
    "ec2:CreateTags": "most things are made together with their tags",
    "ecs:TagResource": "clusters, services and tasks are made together with their tags",
    "elasticloadbalancing:AddTags": "load balancers and groups are made together with their tags",
    "iam:CreateServiceLinkedRole": "the first use of some services makes their own role",
    "iam:PassRole": "machines and tasks are handed their roles",
    "iam:TagRole": "roles are made together with their tags",
    "iam:TagInstanceProfile": "profiles are made together with their tags",
    "kms:CreateGrant": "the database uses the key on its own from then on",
    "kms:Decrypt": "secrets are read",
    "kms:GenerateDataKey": "secrets are written",
    "kms:TagResource": "the key is made together with its tags",
    "logs:CreateLogDelivery": "flow logs and the firewall's log are deliveries",
    "logs:DeleteLogDelivery": "flow logs and the firewall's log are deliveries",
    "logs:DescribeResourcePolicies": "the firewall may then write to its log group",
    "logs:PutResourcePolicy": "the firewall may then write to its log group",
    "logs:TagResource": "log groups are made together with their tags",
    "rds:CreateDBSnapshot": "a database is deleted with a last snapshot",
    "rds:AddTagsToResource": "databases and their groups are made together with their tags",
    "route53:AssociateVPCWithHostedZone": "an entrance to an AWS service has a name in the network",
    "secretsmanager:CreateSecret": "the database makes its owner's secret",
    "secretsmanager:TagResource": "secrets are made together with their tags",
    "sns:TagResource": "the topic is made together with its tags",
    "ssm:UpdateDocument": "another setting of sessions",
    "ssm:UpdateDocumentDefaultVersion": "and its taking effect",
    "ssm:AddTagsToResource": "the session document is made together with its tags",
    "wafv2:TagResource": "the firewall is made together with its tags",
    # Changes that are likely one day, and that no step of a deployment's life here makes.
    "autoscaling:CreateOrUpdateTags": "another tag of the group of machines",
    "elasticloadbalancing:SetSecurityGroups": "another group of the load balancer",
    "elasticloadbalancing:SetSubnets": "another zone of the load balancer",
    "sns:SetSubscriptionAttributes": "another setting of the subscription",
    "autoscaling:UpdateAutoScalingGroup": "another number of machines",
    "cloudfront:UpdateVpcOrigin": "another port or protocol of the load balancer",
    "elasticloadbalancing:ModifyListener": "another policy of TLS, another certificate",
    "elasticloadbalancing:ModifyRule": "another path",
    "elasticloadbalancing:ModifyTargetGroup": "another health check",
    "iam:PutRolePermissionsBoundary": "a role that was made without the boundary, or has lost it",
    "iam:UpdateAssumeRolePolicy": "another service or condition for a role",
    "kms:PutKeyPolicy": "another service that uses the key",
    "wafv2:UpdateWebACL": "another limit",
}

# What the check asks only of a deployment unlike these two.
CHECK_IMPLIED = {
    "ec2:DescribeNatGateways": "where the private subnets have a way out to the internet",
}

# With these one reads what is kept: passwords, releases, the state, what sessions showed.
READS_CONTENT = {
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:StartQuery",
    "rds:DownloadDBLogFilePortion",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "secretsmanager:BatchGetSecretValue",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
}


# What takes a tag away, by what gives it.
UNTAG = {
    "AddTags": "RemoveTags",
    "AddTagsToCertificate": "RemoveTagsFromCertificate",
    "AddTagsToResource": "RemoveTagsFromResource",
    "CreateOrUpdateTags": "DeleteTags",
    "CreateTags": "DeleteTags",
    "TagInstanceProfile": "UntagInstanceProfile",
    "TagResource": "UntagResource",
    "TagRole": "UntagRole",
}
CHANGES = (
    *("Modify{}", "Modify{}Attribute", "Modify{}Attributes", "Replace{}", "Update{}"),
    *("Update{}Description", "Update{}Settings"),
)
# A changed snapshot could be shared with another account.
NOT_CHANGED = {"rds:CreateDBSnapshot"}


def siblings(actions: Iterable[str]) -> set[str]:
    """What takes a tag away where one is given, and changes what is made, of AWS's API models.

    Without them an apply that finds another tag or setting fails half way, though nothing of the
    kind happens to a deployment here.
    """
    found = set()
    for action in set(actions) - NOT_CHANGED:
        service, _, name = action.partition(":")
        operations = operations_of(APIS.get(service, service))
        kind = re.sub("^(?:Create|Request|Register|Put)", "", name)
        changes = {change.format(kind) for change in CHANGES} if kind != name else set()
        found |= {f"{service}:{it}" for it in (changes | {UNTAG.get(name, "")}) & operations}
    return found


@cache
def operations_of(service: str) -> frozenset[str]:
    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)


def actions_of(calls: Iterable[dict[str, Any]], phases: set[str]) -> set[str]:
    """The IAM actions that the calls of some phases of the deployment need."""
    needed = set()
    for call in calls:
        phase = re.search(rf"\binfra[/-](\w+)|\b({AGENT})\b", call["agent"])
        if phase is None or not phases & set(phase.groups()):
            continue
        assert call["action"], f"a call without a name: {call}"
        service = PREFIXES.get(call["service"], call["service"])
        action = f"{service}:{call['action']}"
        needed |= set(NAMES.get(action, [action]))
    return needed


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for calls in sorted(folder.rglob("calls.jsonl"))
        for line in calls.read_text().splitlines()
    ]


PLAN = {"init", "plan", "show", "output"}
APPLY = PLAN | {"apply", "destroy"}
CHECK = {AGENT}


def allowed(purpose: str) -> set[str]:
    groups = json.loads(ACTIONS.read_text())[purpose]
    return {action for actions in groups.values() for action in actions}


@pytest.fixture(scope="module")
def calls(
    deployments: dict[str, Deployment], lifecycles: dict[str, Lifecycle]
) -> list[dict[str, Any]]:
    """Every call of both profiles' whole lifecycles, and of a check of each."""
    assert lifecycles
    for deployment in deployments.values():
        subprocess.run(
            [sys.executable, "-m", "tally", "check", "--name", deployment.name, "--json"],
            cwd=ROOT,
            env=os.environ | deployment.emulator.environment,
            check=True,
            capture_output=True,
        )
    return [call for deployment in deployments.values() for call in recorded(deployment.folder)]


def test_the_plan_role_may_do_what_a_plan_does_and_no_more(calls: list[dict[str, Any]]) -> None:
    used = actions_of(calls, PLAN)
    assert used - allowed("plan") == set(), "used but not allowed"
    assert allowed("plan") - used - set(IMPLIED) == set(), "allowed but not used"


def test_the_apply_role_may_do_what_an_apply_does_and_no_more(calls: list[dict[str, Any]]) -> None:
    used = actions_of(calls, APPLY)
    used |= siblings(used | set(IMPLIED))
    may = allowed("plan") | allowed("apply")
    assert used - may == set(), "used but not allowed"
    assert may - used - set(IMPLIED) == set(), "allowed but not used"


def test_the_check_may_ask_what_it_asks_and_no_more(calls: list[dict[str, Any]]) -> None:
    used = actions_of(calls, CHECK)
    assert used - allowed("check") == set(), "used but not allowed"
    assert allowed("check") - used - set(CHECK_IMPLIED) == set(), "allowed but not used"


def test_what_is_implied_is_allowed() -> None:
    assert set(IMPLIED) - allowed("plan") - allowed("apply") == set()
    assert set(CHECK_IMPLIED) - allowed("check") == set()


def changing(purpose: str) -> set[str]:
    reading = ("Get", "Describe", "List", "View", "Head")
    return {
        action for action in allowed(purpose) if not action.partition(":")[2].startswith(reading)
    }


def test_a_plan_changes_nothing() -> None:
    assert changing("plan") == {"kms:Decrypt"}


def test_the_check_changes_nothing_and_reads_no_content() -> None:
    assert changing("check") == set()
    assert allowed("check") & READS_CONTENT == set()
    # What the list is worth: whoever plans reads the state and the passwords' versions.
    assert {"s3:GetObject", "secretsmanager:GetSecretValue"} <= allowed("plan") & READS_CONTENT


def test_no_wildcard_is_in_an_action() -> None:
    every = allowed("plan") | allowed("check") | allowed("apply")
    assert not {action for action in every if "*" in action}


def documents(deployment: Deployment, purpose: str) -> list[dict[str, Any]]:
    """The policies of one of continuous integration's roles, as applied."""
    iam = deployment.client("iam")
    attached = iam.list_attached_role_policies(RoleName=f"{deployment.name}-ci-{purpose}")
    arns = [policy["PolicyArn"] for policy in attached["AttachedPolicies"]]
    return [
        iam.get_policy_version(
            PolicyArn=arn,
            VersionId=iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"],
        )["PolicyVersion"]["Document"]
        for arn in arns
    ]


def given(deployment: Deployment, purpose: str, effect: str = "Allow") -> list[dict[str, Any]]:
    """The statements of one of continuous integration's roles, as applied."""
    return [
        statement
        for document in documents(deployment, purpose)
        for statement in statements(document)
        if statement["Effect"] == effect
    ]


def test_the_roles_got_these_policies(deployment: Deployment) -> None:
    for purpose, expected in (
        ("plan", allowed("plan") | allowed("check")),
        ("apply", allowed("plan") | allowed("apply")),
    ):
        policies = documents(deployment, purpose)
        # IAM's limits for a role, and for a managed policy.
        assert len(policies) <= 10
        assert all(len(json.dumps(it).replace(" ", "")) <= 6144 for it in policies)
        assert {it for each in given(deployment, purpose) for it in each["Action"]} == expected


def test_every_permission_is_for_the_region_alone(deployment: Deployment) -> None:
    for purpose in ("plan", "apply"):
        for statement in given(deployment, purpose):
            assert statement["Condition"]["StringEquals"]["aws:RequestedRegion"] == "us-east-1"


def allowing(
    deployment: Deployment, purpose: str, action: str
) -> list[tuple[set[str], dict[str, Any]]]:
    """On what a role may do something, and under which conditions beside the region."""
    return [
        (
            set(statement["Resource"]),
            {
                key: set(values) if isinstance(values, list) else {values}
                for key, values in statement["Condition"]["StringEquals"].items()
                if key != "aws:RequestedRegion"
            },
        )
        for statement in given(deployment, purpose)
        if action in statement["Action"]
    ]


def test_roles_are_handed_to_machines_and_tasks_alone(deployment: Deployment) -> None:
    assert allowing(deployment, "apply", "iam:PassRole") == [
        (
            {f"arn:aws:iam::{ACCOUNT}:role/{deployment.name}-*"},
            {"iam:PassedToService": {"ec2.amazonaws.com", "ecs-tasks.amazonaws.com"}},
        )
    ]


def test_only_bounded_roles_are_given_permissions(deployment: Deployment) -> None:
    bounded = (
        {f"arn:aws:iam::{ACCOUNT}:role/{deployment.name}-*"},
        {"iam:PermissionsBoundary": {f"arn:aws:iam::{ACCOUNT}:policy/{deployment.name}-boundary"}},
    )
    for action in ("CreateRole", "PutRolePolicy", "PutRolePermissionsBoundary"):
        assert allowing(deployment, "apply", f"iam:{action}") == [bounded]


def test_the_owners_secret_is_made_and_not_read(deployment: Deployment) -> None:
    secrets = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"
    own, owner = {f"{secrets}:{deployment.name}/*"}, {f"{secrets}:rds!*"}
    for action in ("CreateSecret", "TagResource"):
        made = allowing(deployment, "apply", f"secretsmanager:{action}")
        assert sorted(made, key=str) == sorted([(own, {}), (owner, {})], key=str)
    for purpose in ("plan", "apply"):
        assert allowing(deployment, purpose, "secretsmanager:GetSecretValue") == [(own, {})]


def test_no_task_is_run_but_the_schema_step(deployment: Deployment) -> None:
    name, own = deployment.name, f"{REGION}:{ACCOUNT}"
    step = {
        f"arn:aws:ecs:{own}:task-definition/{name}-schema:*",
        f"arn:aws:ecs:{own}:task/{name}-containers/*",
        f"arn:aws:logs:{own}:log-group:/{name}/display:log-stream:schema/*",
    }
    for action in ("ecs:RunTask", "ecs:DescribeTasks", "logs:GetLogEvents"):
        assert allowing(deployment, "apply", action) == [(step, {})]


def test_only_the_deployments_snapshots_are_copied_and_deleted(deployment: Deployment) -> None:
    own = ({f"arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:{deployment.name}-*"}, {})
    for action in ("CopyDBSnapshot", "DeleteDBSnapshot"):
        assert allowing(deployment, "apply", f"rds:{action}") == [own]


def test_keys_are_used_through_other_services_alone(deployment: Deployment) -> None:
    services = {f"{service}.{REGION}.amazonaws.com" for service in ("rds", "secretsmanager")}
    through = ({"*"}, {"kms:ViaService": services})
    assert allowing(deployment, "plan", "kms:Decrypt") == [through]
    for action in ("Decrypt", "GenerateDataKey", "CreateGrant"):
        assert allowing(deployment, "apply", f"kms:{action}") == [through]


def test_who_applies_may_only_open_with_the_key_that_seals_plans(deployment: Deployment) -> None:
    found = deployment.client("kms").describe_key(KeyId=f"alias/{deployment.name}-plans")[
        "KeyMetadata"
    ]
    [kept] = [it for it in given(deployment, "apply", "Deny") if it["Sid"] == "PlansKey"]
    assert kept["NotAction"] == ["kms:Decrypt"]
    assert found["Arn"] in kept["Resource"]
    assert "Condition" not in kept


def test_who_applies_changes_neither_the_boundary_nor_who_gets_in(deployment: Deployment) -> None:
    kept = given(deployment, "apply", "Deny")
    role = f"arn:aws:iam::{ACCOUNT}:role"
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/{deployment.name}-boundary"
    for action in ("CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicy"):
        assert denied(kept, f"iam:{action}", boundary)
    assert denied(kept, "iam:DeleteRolePermissionsBoundary", f"{role}/{deployment.name}-adder")
    # A deployment whose name begins with this one's has such roles too.
    for name in (deployment.name, f"{deployment.name}-other"):
        for purpose in ("build", "plan", "apply"):
            assert denied(kept, "iam:UpdateAssumeRolePolicy", f"{role}/{name}-ci-{purpose}")
    assert not denied(kept, "iam:UpdateAssumeRolePolicy", f"{role}/{deployment.name}-adder")


WORKFLOWS = {
    "build": "build-containers.yml",
    "plan": "terraform-plan-apply.yml",
    "apply": "terraform-plan-apply.yml",
}


@pytest.mark.parametrize("purpose", list(WORKFLOWS))
def test_one_workflow_of_main_may_have_a_role(production: Deployment, purpose: str) -> None:
    iam = production.client("iam")
    trust = iam.get_role(RoleName=f"tally-ci-{purpose}")["Role"]["AssumeRolePolicyDocument"]
    [statement] = trust["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    workflow = f"example/tally/.github/workflows/{WORKFLOWS[purpose]}"
    claims = {
        "aud": "sts.amazonaws.com",
        "repository_id": REPOSITORY_ID,
        "ref": "refs/heads/main",
        "job_workflow_ref": f"{workflow}@refs/heads/main",
    }
    if purpose == "apply":
        claims["environment"] = "production"
    github = "token.actions.githubusercontent.com"
    assert statement["Condition"]["StringEquals"] == {
        f"{github}:{name}": value for name, value in claims.items()
    }
    assert (ROOT / ".github/workflows" / WORKFLOWS[purpose]).is_file()
    # Both ways in which GitHub writes a repository into the subject.
    assert statement["Condition"]["StringLike"] == {
        f"{github}:sub": ["repo:example/tally:*", "repo:example@*/tally@*:*"]
    }


def proposed(calls: list[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """The list as it should be: by role, and by a group of services that fits one policy."""
    plan = actions_of(calls, PLAN) | {"kms:Decrypt"}
    apply = actions_of(calls, APPLY) | set(IMPLIED)
    apply = (apply | siblings(apply)) - plan
    # An action is of the first group that fits.
    groups = {
        "anywhere": ("iam:CreateServiceLinkedRole", "secretsmanager:GetRandomPassword"),
        "network": ("ec2:*",),
        "edge": ("acm:*", "cloudfront:*", "elasticloadbalancing:*", "route53:*", "wafv2:*"),
        "schema": ("ecs:DescribeTasks", "ecs:RunTask", "logs:GetLogEvents"),
        "compute": ("application-autoscaling:*", "autoscaling:*", "ecs:*", "ssm:*"),
        "kept": ("rds:CopyDBSnapshot", "rds:DeleteDBSnapshot"),
        "through": ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"),
        "data": ("kms:*", "rds:*"),
        "watch": ("budgets:*", "cloudwatch:*", "logs:*", "sns:*"),
        "storage": ("s3:*",),
        "secrets": ("secretsmanager:*",),
        "bounded": ("iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"),
        "passing": ("iam:PassRole",),
        "identity": ("iam:*",),
    }
    lists: dict[str, dict[str, list[str]]] = {
        "check": {"anywhere": sorted(actions_of(calls, CHECK) | set(CHECK_IMPLIED))},
    }
    for purpose, actions in (("plan", plan), ("apply", apply)):
        lists[purpose] = {group: [] for group in groups}
        for action in sorted(actions):
            group = next(
                group
                for group, patterns in groups.items()
                if any(fnmatchcase(action, pattern) for pattern in patterns)
            )
            lists[purpose][group].append(action)
    # RDS makes its owner's secret with the permissions of whoever makes the database.
    lists["apply"]["owner"] = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
    return lists


if __name__ == "__main__":
    sys.stdout.write(json.dumps(proposed(recorded(Path(sys.argv[1]))), indent=2) + "\n")
