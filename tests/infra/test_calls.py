"""What continuous integration may do, compared with what Terraform did.

The emulator records every call of the bootstrap's and the deployment's life: plan, apply, a new
release, destroy; and of `tally check`. It refuses what IAM does. Here the policies are held to the
record: they allow all of it, and lack something without any one of their actions.
`infra/bootstrap/ci-actions.json` lists what the roles may do. When a change needs another action,
`python -m tests.infra.test_calls FOLDER` prints the list for a folder of records.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
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
from tests.support.iam.evaluator import Decision, Document, Policies, Principal, Request, decide
from tests.support.iam.oracle import differing, unexplained
from tests.support.iam.requests import PREFIXES, own_requests, requests_of, role_arn
from tests.support.lifecycle import Lifecycle
from tests.support.paths import BOOTSTRAP, ROOT

ACTIONS = BOOTSTRAP / "ci-actions.json"
APIS = {prefix: service for service, prefix in PREFIXES.items()}

# Changes that are likely one day, and that no step of a deployment's life here makes: each of what
# another action is done to.
LIKELY = {
    # An interrupted apply left machines half replaced; machines of a release don't start in time.
    "autoscaling:CancelInstanceRefresh": "autoscaling:CreateAutoScalingGroup",
    "autoscaling:RollbackInstanceRefresh": "autoscaling:CreateAutoScalingGroup",
    # Other groups of a machine (hashicorp/terraform#14299: by its interface).
    "ec2:ModifyNetworkInterfaceAttribute": "ec2:ModifyInstanceAttribute",
    # Another group of the load balancer, another zone.
    "elasticloadbalancing:SetSecurityGroups": "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:SetSubnets": "elasticloadbalancing:CreateLoadBalancer",
    # A role that was made without the boundary, or has lost it; another service that may have one.
    "iam:PutRolePermissionsBoundary": "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy": "iam:PutRolePolicy",
    # Another service that uses the key.
    "kms:PutKeyPolicy": "kms:EnableKeyRotation",
    "sns:SetSubscriptionAttributes": "sns:CreateTopic",
    "ssm:UpdateDocumentDefaultVersion": "ssm:CreateDocument",
}
# What the check asks only of a deployment unlike these two.
CHECK_LIKELY = {
    # Where the private subnets have a way out to the internet.
    "ec2:DescribeNatGateways": "ec2:DescribeVpcs",
}
# What the build does, with no emulator. Source: the registry's user guide, "IAM permissions for
# pushing an image", and the steps of build-containers.yml.
BUILD = {
    "ecr": (
        {"repositoryName": "NAME/display"},
        *("BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "DescribeImages"),
        *("GetAuthorizationToken", "GetDownloadUrlForLayer", "InitiateLayerUpload", "PutImage"),
        "UploadLayerPart",
    ),
    "s3": (
        {"Bucket": f"NAME-releases-{ACCOUNT}", "Key": "adder/1.pex"},
        *("GetObject", "ListBucket", "PutObject"),
    ),
    "ssm": (
        {"Name": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"},
        "GetParameter",
    ),
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


@cache
def siblings(action: str) -> set[str]:
    """What takes a tag away where one is given, and changes what is made, of AWS's API models.

    Without them an apply that finds another tag or setting fails half way, though nothing of the
    kind happens to a deployment here.
    """
    if action in NOT_CHANGED:
        return set()
    service, _, name = action.partition(":")
    kind = re.sub("^(?:Create|Request|Register|Put)", "", name)
    changes = {change.format(kind) for change in CHANGES} if kind != name else set()
    operations = operations_of(APIS.get(service, service))
    return {f"{service}:{it}" for it in (changes | {UNTAG.get(name, "")}) & operations}


@cache
def operations_of(service: str) -> frozenset[str]:
    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for calls in sorted(folder.rglob("calls.jsonl"))
        for line in calls.read_text().splitlines()
    ]


# What is asked, with the policy of what it is asked of.
Needs = dict[str, dict[Request, Document | None]]


def needs(calls: Iterable[dict[str, Any]], name: str) -> Needs:
    """All that each purpose asks of IAM: what was recorded, its siblings and what is likely."""
    found: Needs = {"plan": {}, "check": {}, "apply": {}, "build": {}}
    for call in (*calls, *build(name)):
        role, _, purpose = call["caller"].partition("-ci-")
        # What practises a restore has a test of its own.
        if role != name or not call["action"] or purpose not in found:
            continue
        principal = Principal("AWS", role_arn(call["caller"]))
        asked = requests_of(call, principal)
        if purpose == "apply":
            own = own_requests(call, principal)
            asked += [replace(it, action=one) for it in own for one in siblings(it.action)]
        found["check" if AGENT in call["agent"] else purpose] |= {
            it: call["policies"].get(it.resource) for it in asked
        }
    for purpose, likely in (("apply", LIKELY), ("check", CHECK_LIKELY)):
        asked = found[purpose]
        for action, alike in likely.items():
            asked |= {
                replace(it, action=action): policy
                for it, policy in asked.items()
                if it.action == alike
            }
    return found


def build(name: str) -> Iterator[dict[str, Any]]:
    """The calls of the build, as if they were recorded."""
    for service, (parameters, *actions) in BUILD.items():
        said = {key: value.replace("NAME", name) for key, value in parameters.items()}
        call = {"service": service, "caller": f"{name}-ci-build", "agent": "", "region": REGION}
        for action in actions:
            yield call | {"action": action, "parameters": said, "facts": {}, "policies": {}}


def allowed(purpose: str) -> set[str]:
    groups = json.loads(ACTIONS.read_text())[purpose]
    return {action for actions in groups.values() for action in actions}


@pytest.fixture(scope="module")
def asked(deployments: dict[str, Deployment], lifecycles: dict[str, Lifecycle]) -> dict[str, Needs]:
    """What each profile's whole lifecycle asked, and a check of it."""
    assert lifecycles
    for deployment in deployments.values():
        subprocess.run(
            [sys.executable, "-m", "tally", "check", "--name", deployment.name, "--json"],
            cwd=ROOT,
            env=os.environ | deployment.emulator.environment | deployment.keys("plan"),
            check=True,
            capture_output=True,
        )
    return {
        profile: needs(recorded(deployment.folder), deployment.name)
        for profile, deployment in deployments.items()
    }


def policies(deployment: Deployment, purpose: str) -> dict[str, Document]:
    """What allows one purpose: its policies by name, as applied."""
    role = "plan" if purpose == "check" else purpose
    found = documents(deployment, role)
    if purpose in {"plan", "check"}:
        kind = "check" if purpose == "check" else "read"
        found = {name: it for name, it in found.items() if name.endswith(f"-{kind}")}
    return {name: json.dumps(it) for name, it in found.items()}


def refused(asked: dict[Request, Document | None], identity: Iterable[Document]) -> set[str]:
    """The actions that are not allowed."""
    own = tuple(identity)
    return {
        it.action
        for it, policy in asked.items()
        if decide(it, Policies(own, resource=policy)) is not Decision.ALLOWED
    }


PURPOSES = ("build", "plan", "check", "apply")


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_role_may_do_what_it_does(
    purpose: str, deployments: dict[str, Deployment], asked: dict[str, Needs]
) -> None:
    for profile, deployment in deployments.items():
        assert refused(asked[profile][purpose], policies(deployment, purpose).values()) == set()


def test_who_applies_may_do_what_a_plan_does(
    deployments: dict[str, Deployment], asked: dict[str, Needs]
) -> None:
    for profile, deployment in deployments.items():
        assert refused(asked[profile]["plan"], policies(deployment, "apply").values()) == set()


def test_others_decide_the_same_of_what_is_asked(
    deployments: dict[str, Deployment], asked: dict[str, Needs]
) -> None:
    # Under each purpose's policies, so that they refuse as well.
    cases = [
        (request, Policies(tuple(policies(deployment, purpose).values()), resource=policy))
        for profile, deployment in deployments.items()
        for purpose in PURPOSES
        for needed in asked[profile].values()
        for request, policy in needed.items()
    ]
    assert unexplained(differing(cases)) == []


def every_action() -> Iterator[tuple[str, str, str]]:
    """The purpose, statement and name of each action of the pipeline's policies."""
    lists = json.loads(ACTIONS.read_text())
    for purpose, groups in lists.items():
        for group, actions in groups.items():
            yield from ((purpose, group.title(), it) for it in actions)
    for service, (_, *actions) in BUILD.items():
        yield from (("build", "*", f"{service}:{it}") for it in actions)


@pytest.mark.parametrize(
    ("purpose", "sid", "action"),
    [
        pytest.param(*it, id="-".join((it[0], it[1], it[2].replace(":", "."))))
        for it in every_action()
    ],
)
def test_a_role_lacks_any_action_that_is_taken_away(
    purpose: str,
    sid: str,
    action: str,
    deployments: dict[str, Deployment],
    asked: dict[str, Needs],
) -> None:
    lacking = set()
    for profile, deployment in deployments.items():
        concerned = {
            it: policy for it, policy in asked[profile][purpose].items() if it.action == action
        }
        rest = policies(deployment, purpose)
        for name, policy in rest.items():
            rest[name] = without(action, sid, policy)
        lacking |= refused(concerned, rest.values())
    assert lacking == {action}


def without(action: str, sid: str, policy: Document) -> Document:
    """A policy without an action in a statement."""
    parsed = json.loads(policy)
    for statement in parsed["Statement"]:
        if statement["Effect"] == "Allow" and sid in {"*", statement["Sid"]}:
            listed = statement["Action"]
            listed = [listed] if isinstance(listed, str) else listed
            statement["Action"] = [it for it in listed if it != action]
    return json.dumps(parsed)


def test_every_action_of_the_build_is_one_that_it_does(deployment: Deployment) -> None:
    given_to_it = {it for each in given(deployment, "build") for it in each["Action"]}
    assert given_to_it == {action for purpose, _, action in every_action() if purpose == "build"}


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


_read: dict[str, dict[str, dict[str, Any]]] = {}


def documents(deployment: Deployment, purpose: str) -> dict[str, dict[str, Any]]:
    """The policies of one of continuous integration's roles, as applied."""
    role = f"{deployment.name}-ci-{purpose}"
    if role not in _read:
        iam = deployment.client("iam")
        _read[role] = {
            it["PolicyName"]: iam.get_policy_version(
                PolicyArn=it["PolicyArn"],
                VersionId=iam.get_policy(PolicyArn=it["PolicyArn"])["Policy"]["DefaultVersionId"],
            )["PolicyVersion"]["Document"]
            for it in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        }
    return _read[role]


def given(deployment: Deployment, purpose: str, effect: str = "Allow") -> list[dict[str, Any]]:
    """The statements of one of continuous integration's roles, as applied."""
    return [
        statement
        for document in documents(deployment, purpose).values()
        for statement in statements(document)
        if statement["Effect"] == effect
    ]


def test_the_roles_got_these_policies(deployment: Deployment) -> None:
    for purpose, expected in (
        ("plan", allowed("plan") | allowed("check")),
        ("apply", allowed("plan") | allowed("apply")),
    ):
        found = documents(deployment, purpose)
        # IAM's limits for a role, and for a managed policy.
        assert len(found) <= 10
        assert all(len(json.dumps(it).replace(" ", "")) <= 6144 for it in found.values())
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


def test_roles_are_handed_to_machines_tasks_and_schedules_alone(deployment: Deployment) -> None:
    services = {f"{it}.amazonaws.com" for it in ("ec2", "ecs-tasks", "scheduler")}
    assert allowing(deployment, "apply", "iam:PassRole") == [
        (
            {f"arn:aws:iam::{ACCOUNT}:role/{deployment.name}-*"},
            {"iam:PassedToService": services},
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
        for purpose in WORKFLOWS:
            assert denied(kept, "iam:UpdateAssumeRolePolicy", f"{role}/{name}-ci-{purpose}")
    assert not denied(kept, "iam:UpdateAssumeRolePolicy", f"{role}/{deployment.name}-adder")


WORKFLOWS = {
    "build": "build-containers.yml",
    "plan": "terraform-plan-apply.yml",
    "apply": "terraform-plan-apply.yml",
    "practise": "practise-restore.yml",
}


GITHUB = "token.actions.githubusercontent.com"


@pytest.mark.parametrize("purpose", list(WORKFLOWS))
def test_one_workflow_of_main_may_have_a_role(production: Deployment, purpose: str) -> None:
    iam = production.client("iam")
    role = iam.get_role(RoleName=f"tally-ci-{purpose}")["Role"]
    trust = Policies(resource=json.dumps(role["AssumeRolePolicyDocument"]))
    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]

    def may_assume(claims: dict[str, str], who: str = provider["Arn"]) -> bool:
        request = Request(
            Principal("Federated", who),
            "sts:AssumeRoleWithWebIdentity",
            role["Arn"],
            {f"{GITHUB}:{name}": value for name, value in claims.items()},
        )
        return decide(request, trust) is Decision.ALLOWED

    workflow = f"example/tally/.github/workflows/{WORKFLOWS[purpose]}"
    claims = {
        "aud": "sts.amazonaws.com",
        "repository_id": REPOSITORY_ID,
        "ref": "refs/heads/main",
        "job_workflow_ref": f"{workflow}@refs/heads/main",
        "sub": "repo:example/tally:ref:refs/heads/main",
    }
    if purpose == "apply":
        claims |= {"environment": "production", "sub": "repo:example/tally:environment:production"}
    assert (ROOT / ".github/workflows" / WORKFLOWS[purpose]).is_file()
    assert may_assume(claims)
    # As GitHub writes the subject of newer repositories.
    assert may_assume(claims | {"sub": f"repo:example@1/tally@{REPOSITORY_ID}:ref:refs/heads/main"})
    for claim in claims:
        assert not may_assume(claims | {claim: "another"}), claim
        assert not may_assume({name: it for name, it in claims.items() if name != claim}), claim
    assert not may_assume(claims | {"sub": "repo:example/tally-two:ref:refs/heads/main"})
    assert not may_assume(claims, "arn:aws:iam::123456789012:oidc-provider/example.com")


def proposed(calls: list[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """The list as it should be: by role, and by a group of services that fits one policy."""
    names = {call["caller"].partition("-ci-")[0] for call in calls if "-ci-" in call["caller"]}
    found = [needs(calls, name) for name in sorted(names)]
    plan, check, apply = (
        {it.action for each in found for it in each[purpose]}
        for purpose in ("plan", "check", "apply")
    )
    apply -= plan
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
        "watch": ("budgets:*", "cloudwatch:*", "logs:*", "scheduler:*", "sns:*"),
        "storage": ("s3:*",),
        "secrets": ("secretsmanager:*",),
        "bounded": ("iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"),
        "passing": ("iam:PassRole",),
        "identity": ("iam:*",),
    }
    lists: dict[str, dict[str, list[str]]] = {
        "check": {"anywhere": sorted(check)},
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
