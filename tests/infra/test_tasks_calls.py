"""What tasks and machines call for is allowed: by their roles, the boundary, keys and entrances.

Nothing runs in the emulator, so nothing is recorded; what is asked here follows from what was
applied: each task definition's images, secrets and logs, each machine's role.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.deployment import ACCOUNT, REGION, Deployment
from tests.support.iam.evaluator import Decision, Policies, Principal, Request, decide
from tests.support.iam.requests import role_arn
from tests.support.lifecycle import task_definitions

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
SESSIONS = (
    *("ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel"),
    *("ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel"),
    "ssmmessages:OpenDataChannel",
)
# Which entrances a call takes, where it is not the one of its service's name.
ENTRANCES = {"ecr": ("ecr.api", "ecr.dkr")}


@dataclass
class Applied:
    """What was applied, as far as it decides."""

    deployment: Deployment
    endpoints: dict[str, str]
    keys: dict[str, str]
    secrets: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, deployment: Deployment) -> "Applied":
        kms = deployment.client("kms")
        found = deployment.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        return cls(
            deployment,
            {it["ServiceName"].split(".", 3)[3]: it["PolicyDocument"] for it in found},
            {
                it["KeyArn"]: kms.get_key_policy(KeyId=it["KeyId"], PolicyName="default")["Policy"]
                for it in kms.list_keys()["Keys"]
            },
            {
                it["ARN"]: it
                for it in deployment.client("secretsmanager").list_secrets()["SecretList"]
            },
        )

    def policies(self, request: Request, *, inside: bool) -> list[Policies]:
        """The policies that decide about a role's request, for each entrance that it takes."""
        iam, role = self.deployment.client("iam"), request.principal.name.rpartition("/")[2]
        own = tuple(
            json.dumps(iam.get_role_policy(RoleName=role, PolicyName=it)["PolicyDocument"])
            for it in iam.list_role_policies(RoleName=role)["PolicyNames"]
        )
        limit = iam.get_role(RoleName=role)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"]
        version = iam.get_policy(PolicyArn=limit)["Policy"]["DefaultVersionId"]
        boundary = iam.get_policy_version(PolicyArn=limit, VersionId=version)["PolicyVersion"]
        service = request.action.partition(":")[0]
        # Secrets Manager uses the key, and from nowhere inside. The profile small has one entrance.
        by_entrance = inside and service != "kms"
        by_entrance &= service == "s3" or self.deployment.profile != "small"
        taken = ENTRANCES.get(service, (service,)) if by_entrance else ()
        return [
            Policies(
                own,
                json.dumps(boundary["Document"]),
                self.keys.get(request.resource),
                self.endpoints[name] if name else None,
            )
            for name in taken or ("",)
        ]

    def refused(self, role: str, asked: Iterator[tuple[str, str]], *, inside: bool) -> list[str]:
        """What a role may not do of what it needs."""
        found = []
        for action, resource in asked:
            context = {"aws:requestedregion": REGION, "aws:securetransport": "true"}
            key = resource
            if action == "kms:Decrypt":
                context["kms:encryptioncontext:secretarn"] = resource
                context["kms:viaservice"] = f"secretsmanager.{REGION}.amazonaws.com"
                key = self.secrets[resource]["KmsKeyId"]
                key = key if key.startswith("arn:") else f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"
            request = Request(Principal("AWS", role_arn(role)), action, key, context)
            if any(
                decide(request, it) is not Decision.ALLOWED
                for it in self.policies(request, inside=inside)
            ):
                found.append(f"{action} on {resource}")
        return found

    def secret(self, name: str) -> str:
        [arn] = [it for it, secret in self.secrets.items() if secret["Name"] == name]
        return arn


def secret_of(arn: str) -> Iterator[tuple[str, str]]:
    yield "secretsmanager:GetSecretValue", arn
    yield "kms:Decrypt", arn


def logs_to(group: str) -> Iterator[tuple[str, str]]:
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
    yield "logs:CreateLogStream", f"{arn}:*"
    yield "logs:PutLogEvents", f"{arn}:log-stream:one"


def start_of(definition: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the start of a task calls for."""
    yield "ecr:GetAuthorizationToken", "*"
    for container in definition["containerDefinitions"]:
        repository = container["image"].partition("/")[2].partition("@")[0]
        yield from ((it, f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}") for it in PULL)
        yield from logs_to(container["logConfiguration"]["options"]["awslogs-group"])
        for secret in container["secrets"]:
            # The field of the secret follows its ARN.
            yield from secret_of(":".join(secret["valueFrom"].split(":")[:7]))


def test_tasks_start(deployment: Deployment) -> None:
    applied = Applied.of(deployment)
    describe = deployment.client("ecs").describe_task_definition
    once = [describe(taskDefinition=f"{deployment.name}-{it}") for it in ("schema", "practice")]
    services = task_definitions(deployment.name, deployment.client).values()
    for definition in (*services, *once):
        task = definition["taskDefinition"]
        role = task["executionRoleArn"].rpartition("/")[2]
        assert applied.refused(role, start_of(task), inside=True) == []


def test_the_adders_machines_start(deployment: Deployment) -> None:
    def asked() -> Iterator[tuple[str, str]]:
        yield "s3:GetObject", f"arn:aws:s3:::{name}-releases-{ACCOUNT}/adder/{'1' * 40}.pex"
        yield from secret_of(applied.secret(f"{name}/adder"))
        yield from logs_to(f"/{name}/adder")

    name, applied = deployment.name, Applied.of(deployment)
    assert applied.refused(f"{name}-adder", asked(), inside=True) == []


def test_the_bastion_opens_sessions(deployment: Deployment) -> None:
    def asked() -> Iterator[tuple[str, str]]:
        yield from secret_of(applied.secret(f"{name}/operator"))
        yield from logs_to(f"/{name}/bastion")
        yield "logs:DescribeLogGroups", "*"
        yield from ((it, "*") for it in SESSIONS)

    name, applied = deployment.name, Applied.of(deployment)
    assert applied.refused(f"{name}-bastion", asked(), inside=False) == []


def test_the_schedule_writes_the_alarms_metric_and_no_other(deployment: Deployment) -> None:
    name = f"{deployment.name}-restore-overdue"
    schedule = deployment.client("scheduler").get_schedule(Name=name, GroupName="default")
    assert schedule["Target"]["RoleArn"].endswith(f":role/{name}")
    written = json.loads(schedule["Target"]["Input"])
    [metric] = written["MetricData"]
    [alarm] = deployment.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["MetricName"] == metric["MetricName"]
    assert alarm["Dimensions"] == metric["Dimensions"]
    [policies] = Applied.of(deployment).policies(
        Request(Principal("AWS", role_arn(name)), "cloudwatch:PutMetricData", "*"), inside=False
    )

    def may_write(namespace: str) -> bool:
        context = {"aws:requestedregion": REGION, "cloudwatch:namespace": namespace}
        request = Request(
            Principal("AWS", role_arn(name)), "cloudwatch:PutMetricData", "*", context
        )
        return decide(request, policies) is Decision.ALLOWED

    assert written["Namespace"] == alarm["Namespace"]
    assert may_write(alarm["Namespace"])
    assert not may_write("AWS/RDS")


def test_nobody_reads_what_is_anothers(deployment: Deployment) -> None:
    name, applied = deployment.name, Applied.of(deployment)
    for role, other in (
        *(("adder", "operator"), ("bastion", "adder")),
        *(("display-start", "reset"), ("reset-start", "adder")),
    ):
        both = list(secret_of(applied.secret(f"{name}/{other}")))
        assert len(applied.refused(f"{name}-{role}", iter(both), inside=False)) == len(both)


MACHINES = {"adder", "bastion"}
TASKS = {
    f"{service}-{it}"
    for service in ("display", "reset", "schema", "practice")
    for it in ("start", "task")
}


@pytest.mark.parametrize(
    ("kind", "account", "roles"),
    [
        ("ec2", ACCOUNT, MACHINES),
        ("ecs-tasks", ACCOUNT, TASKS),
        ("ecs-tasks", ACCOUNT[::-1], set()),
    ],
)
def test_a_role_is_for_machines_or_for_tasks_of_its_account(
    deployment: Deployment, kind: str, account: str, roles: set[str]
) -> None:
    found = deployment.client("iam").list_roles()["Roles"]
    own = {it["RoleName"]: it for it in found if it["RoleName"].startswith(f"{deployment.name}-")}
    may = {
        name.removeprefix(f"{deployment.name}-")
        for name, role in own.items()
        if decide(
            Request(
                Principal("Service", f"{kind}.amazonaws.com"),
                "sts:AssumeRole",
                role["Arn"],
                # One of the account's clusters.
                {
                    "aws:sourceaccount": account,
                    "aws:sourcearn": f"arn:aws:ecs:{REGION}:{account}:*",
                },
            ),
            Policies(resource=json.dumps(role["AssumeRolePolicyDocument"])),
        )
        is Decision.ALLOWED
    }
    assert may == roles
