"""Display and reset on Fargate: their tasks, deployments and scaling."""

import re
from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import CONTAINER_SERVICES, Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.requirement import Concern, Evidence, Field, NotApplicable, equal, present
from tally.aws.requirements.machines import VERIFIED
from tally.aws.user_data import SECRET

concern = Concern("Containers")

_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_ROOT: Final = {None, "", "0", "root"}
# Names under which a secret would travel in plain sight; ECS.8 names AWS's own two.
_SECRET_NAME: Final = re.compile(r"(?i)password$|secret|token|access_key|pgpass")
# Seconds: a service ends its requests and streams within ten; the load balancer needs to notice.
_DRAIN: Final = range(10, 121)
# Requests a minute for each task. One process serves far more; fewer would scale for nothing.
_TARGET: Final = (100.0, 100_000.0)


def _containers(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    for service in CONTAINER_SERVICES:
        definition = aws.ecs.task_definitions.get(service)
        if definition is not None:
            for container in definition["containerDefinitions"]:
                revision = f"{definition['family']}:{definition['revision']}"
                yield f"{revision} {container['name']}", container


def _services(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    for service in CONTAINER_SERVICES:
        if service in aws.ecs.services:
            yield service, aws.ecs.services[service]


@concern.requires("containers-run", "Display and reset run on Fargate, in subnets of two zones")
def _run(aws: Inventory) -> Iterator[Evidence]:
    yield present(
        ", ".join(it["clusterName"] for it in aws.ecs.clusters) or "no cluster",
        set(CONTAINER_SERVICES) - set(aws.ecs.services),
        "both services",
    )
    for _, service in _services(aws):
        name = service["serviceName"]
        yield equal(name, "launchType", service.get("launchType"), "FARGATE")
        subnets = service["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
        zones = {aws.ec2.subnets[it]["AvailabilityZone"] for it in subnets if it in aws.ec2.subnets}
        yield Evidence(name, len(zones) >= 2, ", ".join(sorted(zones)))  # noqa: PLR2004


@concern.requires("containers-two", "Display and reset run at least two tasks each")
def _two(aws: Inventory) -> Iterator[Evidence]:
    if aws.profile == "small":
        raise NotApplicable("the small profile runs one task of each")
    for target in aws.application_autoscaling.scalable_targets:
        size = target["MinCapacity"]
        yield Evidence(target["ResourceId"], size >= 2, f"MinCapacity = {size}")  # noqa: PLR2004
    for _, service in _services(aws):
        size = service["desiredCount"]
        yield Evidence(service["serviceName"], size >= 2, f"desiredCount = {size}")  # noqa: PLR2004


@concern.requires("containers-private", "Tasks get no public address", "ECS.2")
def _private(aws: Inventory) -> Iterator[Evidence]:
    for _, service in _services(aws):
        placed = service["networkConfiguration"]["awsvpcConfiguration"]
        public = placed.get("assignPublicIp", "DISABLED")
        yield equal(service["serviceName"], "assignPublicIp", public, "DISABLED")


@concern.requires("containers-digest", "Images are named by digest")
def _digest(aws: Inventory) -> Iterator[Evidence]:
    for name, container in _containers(aws):
        yield Evidence(name, bool(_DIGEST.search(container["image"])), container["image"])


@concern.requires("containers-not-root", "Containers do not run as root", "ECS.20")
def _not_root(aws: Inventory) -> Iterator[Evidence]:
    for name, container in _containers(aws):
        user = container.get("user")
        root = (user or "").partition(":")[0] in _ROOT
        yield Evidence(name, not root, f"user = {user}")


concern.requires_fields(
    _containers,
    Field(
        "containers-read-only",
        "Containers' root file systems are read-only",
        ("ECS.5",),
        "readonlyRootFilesystem",
        True,
        False,
    ),
    Field(
        "containers-unprivileged",
        "Containers run without privileges",
        ("ECS.4",),
        "privileged",
        False,
        False,
    ),
)


@concern.requires("containers-capabilities", "Containers keep no Linux capability")
def _capabilities(aws: Inventory) -> Iterator[Evidence]:
    for name, container in _containers(aws):
        found = container.get("linuxParameters", {}).get("capabilities", {})
        added, dropped = found.get("add", []), found.get("drop", [])
        good = not added and dropped == ["ALL"]
        yield Evidence(
            name, good, f"added {', '.join(added) or 'none'}, dropped {', '.join(dropped)}"
        )


@concern.requires("containers-processes", "Tasks do not share the host's processes", "ECS.3")
def _processes(aws: Inventory) -> Iterator[Evidence]:
    for definition in aws.ecs.task_definitions.values():
        mode = definition.get("pidMode")
        yield Evidence(definition["family"], mode != "host", f"pidMode = {mode or 'own'}")


@concern.requires(
    "containers-secrets", "Secrets are given by reference, none in the environment", "ECS.8"
)
def _secrets(aws: Inventory) -> Iterator[Evidence]:
    for name, container in _containers(aws):
        plain = sorted(
            it["name"]
            for it in container.get("environment", [])
            if _SECRET_NAME.search(it["name"]) or SECRET.search(f"{it['name']}={it['value']}")
        )
        given = sorted(it["name"] for it in container.get("secrets", []))
        yield Evidence(
            name,
            not plain and "PGPASSWORD" in given,
            f"by reference: {', '.join(given) or 'none'}; in plain: {', '.join(plain) or 'none'}",
        )


@concern.requires(
    "containers-own-secret", "Each service logs in with its own secret, the schema as the owner"
)
def _own_secret(aws: Inventory) -> Iterator[Evidence]:
    owner = aws.rds.database.get("MasterUserSecret", {}).get("SecretArn", "none")
    for name, container in _containers(aws):
        wanted = f":secret:{aws.name}/{container['name']}-"
        for secret in container.get("secrets", []):
            if secret["name"] == "PGPASSWORD":
                source = secret["valueFrom"]
                own = (
                    source.startswith(owner) if container["name"] == "schema" else wanted in source
                )
                yield Evidence(name, own, f"PGPASSWORD from {source}")


@concern.requires("containers-tls", "Containers check the database's certificate")
def _tls(aws: Inventory) -> Iterator[Evidence]:
    for name, container in _containers(aws):
        urls = [
            it["value"]
            for it in container.get("environment", [])
            if it["name"] == "TALLY_DATABASE_URL"
        ]
        good = bool(urls) and all(VERIFIED.search(url) for url in urls)
        yield Evidence(name, good, ", ".join(urls) or "no TALLY_DATABASE_URL")


@concern.requires("containers-schema", "The schema is brought up to date before new code serves")
def _schema(aws: Inventory) -> Iterator[Evidence]:
    for service, definition in aws.ecs.task_definitions.items():
        by_name = {it["name"]: it for it in definition["containerDefinitions"]}
        step, serving = by_name.get("schema"), by_name.get(service)
        waits = serving is not None and any(
            it["containerName"] == "schema" and it["condition"] == "SUCCESS"
            for it in serving.get("dependsOn", [])
        )
        migrates = step is not None and step.get("command") == ["migrate"]
        yield Evidence(
            f"{definition['family']}:{definition['revision']}",
            waits and migrates,
            f"schema step: {'yes' if migrates else 'no'}; waited for: {'yes' if waits else 'no'}",
        )


@concern.requires("containers-health", "Each service's container has a health check")
def _health(aws: Inventory) -> Iterator[Evidence]:
    for name, container in _containers(aws):
        if container.get("essential", True):
            command = " ".join(container.get("healthCheck", {}).get("command", []))
            yield Evidence(name, "health" in command, command or "none")


@concern.requires("containers-rollback", "A deployment that fails is stopped and rolled back")
def _rollback(aws: Inventory) -> Iterator[Evidence]:
    for _, service in _services(aws):
        deployment = service.get("deploymentConfiguration") or {}
        breaker = deployment.get("deploymentCircuitBreaker", {})
        good = bool(breaker.get("enable") and breaker.get("rollback"))
        yield Evidence(service["serviceName"], good, f"circuit breaker = {breaker or 'none'}")


@concern.requires(
    "containers-drain", "Requests under way are finished, and new tasks serve before old ones end"
)
def _drain(aws: Inventory) -> Iterator[Evidence]:
    for service, thing in _services(aws):
        name = thing["serviceName"]
        healthy = (thing.get("deploymentConfiguration") or {}).get("minimumHealthyPercent")
        yield equal(name, "minimumHealthyPercent", healthy, 100)
        for balancer in thing["loadBalancers"]:
            attributes = aws.elbv2.target_group_attributes(balancer["targetGroupArn"])
            delay = int(attributes.get("deregistration_delay.timeout_seconds", "300"))
            yield Evidence(name, delay in _DRAIN, f"deregistration delay = {delay} s")
        for label, container in _containers(aws):
            if container["name"] == service:
                stop = container.get("stopTimeout", 30)
                yield Evidence(label, stop in _DRAIN, f"stopTimeout = {stop} s")


@concern.requires("containers-logs", "Containers log to their service's log group", "ECS.9")
def _logs(aws: Inventory) -> Iterator[Evidence]:
    for name, container in _containers(aws):
        log = container.get("logConfiguration", {})
        group = log.get("options", {}).get("awslogs-group", "none")
        good = log.get("logDriver") == "awslogs" and group in aws.logs.log_groups
        yield Evidence(name, good, f"log group = {group}")


@concern.requires("containers-insights", "Container Insights are on", "ECS.12")
def _insights(aws: Inventory) -> Iterator[Evidence]:
    for cluster in aws.ecs.clusters:
        settings = {it["name"]: it["value"] for it in cluster.get("settings", [])}
        value = settings.get("containerInsights", "disabled")
        good = value in ("enabled", "enhanced")
        yield Evidence(cluster["clusterName"], good, f"containerInsights = {value}")


@concern.requires("containers-scaling", "The display scales on requests per target, within bounds")
def _scaling(aws: Inventory) -> Iterator[Evidence]:
    for policy in aws.application_autoscaling.scaling_policies:
        if not policy["ResourceId"].endswith("-display"):
            continue
        config = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = config.get("PredefinedMetricSpecification", {})
        name = policy["PolicyName"]
        kind = metric.get("PredefinedMetricType")
        yield equal(name, "metric", kind, "ALBRequestCountPerTarget")
        target = config.get("TargetValue", 0)
        yield Evidence(name, _TARGET[0] <= target <= _TARGET[1], f"target = {target} a minute")
        cooldowns = (config.get("ScaleOutCooldown"), config.get("ScaleInCooldown"))
        yield Evidence(
            name, all(cooldowns), f"cooldowns out, in = {cooldowns[0]} s, {cooldowns[1]} s"
        )
        for bounds in aws.application_autoscaling.scalable_targets:
            if bounds["ResourceId"] == policy["ResourceId"]:
                few, many = bounds["MinCapacity"], bounds["MaxCapacity"]
                yield Evidence(name, few < many, f"from {few} to {many} tasks")
