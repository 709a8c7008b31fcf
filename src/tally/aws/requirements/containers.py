"""Display and reset on Fargate: their tasks, deployments and scaling."""

import re
from collections.abc import Iterator
from typing import Final

from tally.aws.iam_policies import allowing
from tally.aws.inventory import CONTAINER_SERVICES, Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.predicates import at_least, empty, given, includes, matches, none_of, one_of, within
from tally.aws.requirement import Concern, Evidence, Verdict, hold, named, verdict, where
from tally.aws.requirements.machines import VERIFIED
from tally.aws.user_data import SECRET

concern = Concern("Containers")
requires = concern.requires

# What the commands of health checks have in common.
_ASKS: Final = matches(re.compile("health"), "a command that asks for health")
_DATABASE_URLS: Final = "environment[?name=='TALLY_DATABASE_URL'].value"
_DEREGISTRATION: Final = "to_number(\"deregistration_delay.timeout_seconds\" || '300')"
_TRACKING: Final = "TargetTrackingScalingPolicyConfiguration"
_METRIC: Final = "ALBRequestCountPerTarget"
_ON: Final = re.compile("^(enabled|enhanced)$")
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_NOT_ROOT: Final = re.compile(r"^(?!(0|root)?(:|$))")
# Names under which a secret would travel in plain sight; ECS.8 names AWS's own two.
_SECRET_NAME: Final = re.compile(r"(?i)password$|secret|token|access_key|pgpass")
# Seconds: a service ends its requests and streams within ten; the load balancer needs to notice.
_DRAIN: Final = within(10, 120)
# Requests a minute for each task. One process serves far more; fewer would scale for nothing.
_TARGET: Final = within(100, 100_000)


def _known(found: dict[str, Resource]) -> list[Resource]:
    return [found[name] for name in (*CONTAINER_SERVICES, "schema") if name in found]


def _containers(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    for definition in _known(aws.ecs.task_definitions):
        for container in definition["containerDefinitions"]:
            yield f"{_revision(definition)} {container['name']}", container


def _revision(definition: Resource) -> str:
    return f"{definition['family']}:{definition['revision']}"


def _target_groups(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    """The settings of the target groups in which the services' tasks register."""
    for name, service in _services(aws):
        for balancer in service["loadBalancers"]:
            yield name, aws.elbv2.target_group_attributes(balancer["targetGroupArn"])


_services = named("serviceName", lambda aws: _known(aws.ecs.services))
_definitions = named("family", lambda aws: aws.ecs.task_definitions.values())
_clusters = named("clusterName", lambda aws: aws.ecs.clusters)
_serving = where(_containers, "name == 'display' || name == 'reset'")
_bounds = named("ResourceId", lambda aws: aws.application_autoscaling.scalable_targets)
_policies = named("PolicyName", lambda aws: aws.application_autoscaling.scaling_policies)
_display = where(_policies, "ends_with(ResourceId, '-display')")

_run = requires("containers-run", "Display and reset run on Fargate, in subnets of two zones")
_run.field(_services, "launchType", "FARGATE")


_run.names("ECS", lambda aws: aws.ecs.services, *CONTAINER_SERVICES)


def _zones(aws: Inventory, service: Resource) -> list[str]:
    return aws.ec2.zones(service["networkConfiguration"]["awsvpcConfiguration"]["subnets"])


_run.field(_services, _zones, at_least(2), "zones")
_two = requires("containers-two", "Display and reset run at least two tasks each").not_if_small(
    "the small profile runs one task of each"
)
_two.field(_bounds, "MinCapacity", at_least(2))
_two.field(_services, "desiredCount", at_least(2))
requires("containers-private", "Tasks get no public address", "ECS.2").field(
    _services, "networkConfiguration.awsvpcConfiguration.assignPublicIp || 'DISABLED'", "DISABLED"
)
requires("containers-digest", "Images are named by digest").field(
    _containers, "image", matches(_DIGEST, "named by digest")
)
requires("containers-not-root", "Containers do not run as root", "ECS.20").field(
    _containers, "user", matches(_NOT_ROOT, "a user other than root")
)
requires("containers-read-only", "Containers' root file systems are read-only", "ECS.5").field(
    _containers, "readonlyRootFilesystem || `false`", True
)
requires("containers-unprivileged", "Containers run without privileges", "ECS.4").field(
    _containers, "privileged || `false`", False
)
_capabilities = requires("containers-capabilities", "Containers keep no Linux capability")
_capabilities.field(_containers, "linuxParameters.capabilities.add", empty)
_capabilities.field(_containers, "linuxParameters.capabilities.drop", ["ALL"])
requires("containers-processes", "Tasks do not share the host's processes", "ECS.3").field(
    _definitions, "pidMode", none_of({"host"})
)


_secrets = requires(
    "containers-secrets", "Secrets are given by reference, none in the environment", "ECS.8"
)
_secrets.field(_containers, "secrets[].name", includes({"PGPASSWORD"}), "by reference")


@_secrets.each(_containers)
def _no_plain_secret(_: Inventory, container: Resource) -> Verdict:
    plain = sorted(
        it["name"]
        for it in container.get("environment", [])
        if _SECRET_NAME.search(it["name"]) or SECRET.search(f"{it['name']}={it['value']}")
    )
    return verdict("in plain", plain, empty)


@requires(
    "containers-own-secret",
    "Each service gets its own secret alone, and only the schema step the owner's",
)
def _own_secret(aws: Inventory) -> Iterator[Evidence]:
    owner = aws.rds.database.get("MasterUserSecret", {}).get("SecretArn", "none")
    for name, container in _containers(aws):
        own = f":secret:{aws.name}/{container['name']}-"
        for secret in container.get("secrets", []):
            if secret["name"] == "PGPASSWORD":
                good = (owner if container["name"] == "schema" else own) in secret["valueFrom"]
                yield Evidence(name, good, f"PGPASSWORD from {secret['valueFrom']}")
    for service in CONTAINER_SERVICES:
        if service in aws.ecs.task_definitions:
            role = aws.ecs.task_definitions[service]["executionRoleArn"].rpartition("/")[2]
            secrets = [f":secret:{aws.name}/{it}-" for it in (service, f"token-for-{service}")]
            beyond = [
                it
                for statement in allowing(aws, role)
                if "secretsmanager:GetSecretValue" in statement.get("Action", [])
                for it in statement["Resource"]
                if not any(secret in it for secret in secrets)
            ]
            yield hold(role, "secrets of others", beyond, empty)


@requires("containers-reset-token", "To reset takes a token, which no container but reset's gets")
def _reset_token(aws: Inventory) -> Iterator[Evidence]:
    own = f":secret:{aws.name}/token-for-reset-"
    for name, container in _containers(aws):
        secrets = {it["name"]: it["valueFrom"] for it in container.get("secrets", [])}
        given = secrets.get("TALLY_RESET_TOKEN", "")
        reads = any(own in it for it in secrets.values())
        if container["name"] == "reset":
            yield Evidence(name, own in given, f"takes the token from {given or 'nothing'}")
        else:
            yield Evidence(name, not reads, f"gets the token: {'yes' if reads else 'no'}")


requires("containers-tls", "Containers check the database's certificate").field(
    _containers, _DATABASE_URLS, matches(VERIFIED, "verified"), "TALLY_DATABASE_URL"
)


@requires(
    "containers-schema",
    "A task of its own brings the schema up to date, and no service's task does",
)
def _schema(aws: Inventory) -> Iterator[Evidence]:
    if "schema" not in aws.ecs.task_definitions:
        yield Evidence(f"{aws.name}-schema", False, "there is no such task definition")
    for name, definition in aws.ecs.task_definitions.items():
        commands = [it.get("command") for it in definition["containerDefinitions"]]
        wanted = [["migrate"] if name == "schema" else ["serve", name]]
        yield hold(_revision(definition), "commands", commands, wanted)


requires("containers-health", "Each service's container has a health check").field(
    _serving, "join(' ', healthCheck.command || `[]`)", _ASKS
)
_rollback = requires("containers-rollback", "A deployment that fails is stopped and rolled back")
_rollback.field(_services, "deploymentConfiguration.deploymentCircuitBreaker.enable", True)
_rollback.field(_services, "deploymentConfiguration.deploymentCircuitBreaker.rollback", True)
_drain = requires(
    "containers-drain", "Requests under way are finished, and new tasks serve before old ones end"
)
_drain.field(_services, "deploymentConfiguration.minimumHealthyPercent", 100)
_drain.field(_target_groups, _DEREGISTRATION, _DRAIN)
_drain.field(_serving, "stopTimeout || `30`", _DRAIN)
_logs = requires(
    "containers-logs",
    "Containers log to their service's group, and do not wait for it",
    "ECS.9",
)
_logs.field(_containers, "logConfiguration.logDriver", "awslogs")
# AWS's default since June 2025 (ECS's developer guide, "Task definition parameters").
_logs.field(_containers, "logConfiguration.options.mode || 'non-blocking'", "non-blocking")


@_logs.each(_containers)
def _log_group(aws: Inventory, container: Resource) -> Verdict:
    group = container.get("logConfiguration", {}).get("options", {}).get("awslogs-group")
    return verdict("log group", group, one_of(aws.logs.log_groups))


requires("containers-insights", "Container Insights are on", "ECS.12").not_if_small(
    "the small profile does without, to save cost: healthy targets are watched in their place"
).field(
    _clusters, "settings[?name=='containerInsights'].value", matches(_ON, "enabled"), "insights"
)
_scaling = requires(
    "containers-scaling", "The display scales on requests per target, within bounds"
)
_scaling.field(_display, f"{_TRACKING}.PredefinedMetricSpecification.PredefinedMetricType", _METRIC)
_scaling.field(_display, f"{_TRACKING}.TargetValue", _TARGET)
_scaling.field(_display, f"{_TRACKING}.ScaleOutCooldown", given)
_scaling.field(_display, f"{_TRACKING}.ScaleInCooldown", given)
_scaling.field(
    where(_bounds, "ends_with(ResourceId, '-display')"), "MaxCapacity > MinCapacity", True, "room"
)
