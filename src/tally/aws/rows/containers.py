"""Display and reset on Fargate: their tasks, deployments and scaling."""

import re
from collections.abc import Iterator
from typing import Final

from tally.aws.account import CONTAINER_SERVICES, Account, Thing
from tally.aws.requirement import Concern, NotApplicable, Seen, equal, present
from tally.aws.rows.machines import VERIFIED
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


def _containers(account: Account) -> Iterator[tuple[str, Thing]]:
    for service in CONTAINER_SERVICES:
        definition = account.task_definitions.get(service)
        if definition is not None:
            for container in definition["containerDefinitions"]:
                revision = f"{definition['family']}:{definition['revision']}"
                yield f"{revision} {container['name']}", container


def _services(account: Account) -> Iterator[tuple[str, Thing]]:
    for service in CONTAINER_SERVICES:
        if service in account.ecs_services:
            yield service, account.ecs_services[service]


@concern.requires("containers-run", "Display and reset run on Fargate, in subnets of two zones")
def _run(account: Account) -> Iterator[Seen]:
    yield present(
        ", ".join(it["clusterName"] for it in account.clusters) or "no cluster",
        set(CONTAINER_SERVICES) - set(account.ecs_services),
        "both services",
    )
    for _, service in _services(account):
        name = service["serviceName"]
        yield equal(name, "launchType", service.get("launchType"), "FARGATE")
        subnets = service["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
        zones = {account.subnets[it]["AvailabilityZone"] for it in subnets if it in account.subnets}
        yield Seen(name, len(zones) >= 2, ", ".join(sorted(zones)))  # noqa: PLR2004


@concern.requires("containers-two", "Display and reset run at least two tasks each")
def _two(account: Account) -> Iterator[Seen]:
    if account.profile == "small":
        raise NotApplicable("the small profile runs one task of each")
    for target in account.scalable_targets:
        size = target["MinCapacity"]
        yield Seen(target["ResourceId"], size >= 2, f"MinCapacity = {size}")  # noqa: PLR2004
    for _, service in _services(account):
        size = service["desiredCount"]
        yield Seen(service["serviceName"], size >= 2, f"desiredCount = {size}")  # noqa: PLR2004


@concern.requires("containers-private", "Tasks get no public address", "ECS.2")
def _private(account: Account) -> Iterator[Seen]:
    for _, service in _services(account):
        placed = service["networkConfiguration"]["awsvpcConfiguration"]
        public = placed.get("assignPublicIp", "DISABLED")
        yield equal(service["serviceName"], "assignPublicIp", public, "DISABLED")


@concern.requires("containers-digest", "Images are named by digest")
def _digest(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        yield Seen(name, bool(_DIGEST.search(container["image"])), container["image"])


@concern.requires("containers-not-root", "Containers do not run as root", "ECS.20")
def _not_root(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        user = container.get("user")
        root = (user or "").partition(":")[0] in _ROOT
        yield Seen(name, not root, f"user = {user}")


@concern.requires("containers-read-only", "Containers' root file systems are read-only", "ECS.5")
def _read_only(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        found = container.get("readonlyRootFilesystem", False)
        yield equal(name, "readonlyRootFilesystem", found, True)


@concern.requires("containers-unprivileged", "Containers run without privileges", "ECS.4")
def _unprivileged(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        yield equal(name, "privileged", container.get("privileged", False), False)


@concern.requires("containers-capabilities", "Containers keep no Linux capability")
def _capabilities(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        found = container.get("linuxParameters", {}).get("capabilities", {})
        added, dropped = found.get("add", []), found.get("drop", [])
        good = not added and dropped == ["ALL"]
        yield Seen(name, good, f"added {', '.join(added) or 'none'}, dropped {', '.join(dropped)}")


@concern.requires("containers-processes", "Tasks do not share the host's processes", "ECS.3")
def _processes(account: Account) -> Iterator[Seen]:
    for definition in account.task_definitions.values():
        mode = definition.get("pidMode")
        yield Seen(definition["family"], mode != "host", f"pidMode = {mode or 'own'}")


@concern.requires(
    "containers-secrets", "Secrets are given by reference, none in the environment", "ECS.8"
)
def _secrets(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        plain = sorted(
            it["name"]
            for it in container.get("environment", [])
            if _SECRET_NAME.search(it["name"]) or SECRET.search(f"{it['name']}={it['value']}")
        )
        given = sorted(it["name"] for it in container.get("secrets", []))
        yield Seen(
            name,
            not plain and "PGPASSWORD" in given,
            f"by reference: {', '.join(given) or 'none'}; in plain: {', '.join(plain) or 'none'}",
        )


@concern.requires(
    "containers-own-secret", "Each service logs in with its own secret, the schema as the owner"
)
def _own_secret(account: Account) -> Iterator[Seen]:
    owner = account.database.get("MasterUserSecret", {}).get("SecretArn", "none")
    for name, container in _containers(account):
        wanted = f":secret:{account.name}/{container['name']}-"
        for secret in container.get("secrets", []):
            if secret["name"] == "PGPASSWORD":
                source = secret["valueFrom"]
                own = (
                    source.startswith(owner) if container["name"] == "schema" else wanted in source
                )
                yield Seen(name, own, f"PGPASSWORD from {source}")


@concern.requires("containers-tls", "Containers check the database's certificate")
def _tls(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        urls = [
            it["value"]
            for it in container.get("environment", [])
            if it["name"] == "TALLY_DATABASE_URL"
        ]
        good = bool(urls) and all(VERIFIED.search(url) for url in urls)
        yield Seen(name, good, ", ".join(urls) or "no TALLY_DATABASE_URL")


@concern.requires("containers-schema", "The schema is brought up to date before new code serves")
def _schema(account: Account) -> Iterator[Seen]:
    for service, definition in account.task_definitions.items():
        by_name = {it["name"]: it for it in definition["containerDefinitions"]}
        step, serving = by_name.get("schema"), by_name.get(service)
        waits = serving is not None and any(
            it["containerName"] == "schema" and it["condition"] == "SUCCESS"
            for it in serving.get("dependsOn", [])
        )
        migrates = step is not None and step.get("command") == ["migrate"]
        yield Seen(
            f"{definition['family']}:{definition['revision']}",
            waits and migrates,
            f"schema step: {'yes' if migrates else 'no'}; waited for: {'yes' if waits else 'no'}",
        )


@concern.requires("containers-health", "Each service's container has a health check")
def _health(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        if container.get("essential", True):
            command = " ".join(container.get("healthCheck", {}).get("command", []))
            yield Seen(name, "health" in command, command or "none")


@concern.requires("containers-rollback", "A deployment that fails is stopped and rolled back")
def _rollback(account: Account) -> Iterator[Seen]:
    for _, service in _services(account):
        deployment = service.get("deploymentConfiguration") or {}
        breaker = deployment.get("deploymentCircuitBreaker", {})
        good = bool(breaker.get("enable") and breaker.get("rollback"))
        yield Seen(service["serviceName"], good, f"circuit breaker = {breaker or 'none'}")


@concern.requires(
    "containers-drain", "Requests under way are finished, and new tasks serve before old ones end"
)
def _drain(account: Account) -> Iterator[Seen]:
    for service, thing in _services(account):
        name = thing["serviceName"]
        healthy = (thing.get("deploymentConfiguration") or {}).get("minimumHealthyPercent")
        yield equal(name, "minimumHealthyPercent", healthy, 100)
        for balancer in thing["loadBalancers"]:
            attributes = account.target_group_attributes(balancer["targetGroupArn"])
            delay = int(attributes.get("deregistration_delay.timeout_seconds", "300"))
            yield Seen(name, delay in _DRAIN, f"deregistration delay = {delay} s")
        for label, container in _containers(account):
            if container["name"] == service:
                stop = container.get("stopTimeout", 30)
                yield Seen(label, stop in _DRAIN, f"stopTimeout = {stop} s")


@concern.requires("containers-logs", "Containers log to their service's log group", "ECS.9")
def _logs(account: Account) -> Iterator[Seen]:
    for name, container in _containers(account):
        log = container.get("logConfiguration", {})
        group = log.get("options", {}).get("awslogs-group", "none")
        good = log.get("logDriver") == "awslogs" and group in account.log_groups
        yield Seen(name, good, f"log group = {group}")


@concern.requires("containers-insights", "Container Insights are on", "ECS.12")
def _insights(account: Account) -> Iterator[Seen]:
    for cluster in account.clusters:
        settings = {it["name"]: it["value"] for it in cluster.get("settings", [])}
        value = settings.get("containerInsights", "disabled")
        good = value in ("enabled", "enhanced")
        yield Seen(cluster["clusterName"], good, f"containerInsights = {value}")


@concern.requires("containers-scaling", "The display scales on requests per target, within bounds")
def _scaling(account: Account) -> Iterator[Seen]:
    for policy in account.scaling_policies:
        if not policy["ResourceId"].endswith("-display"):
            continue
        config = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = config.get("PredefinedMetricSpecification", {})
        name = policy["PolicyName"]
        kind = metric.get("PredefinedMetricType")
        yield equal(name, "metric", kind, "ALBRequestCountPerTarget")
        target = config.get("TargetValue", 0)
        yield Seen(name, _TARGET[0] <= target <= _TARGET[1], f"target = {target} a minute")
        cooldowns = (config.get("ScaleOutCooldown"), config.get("ScaleInCooldown"))
        yield Seen(name, all(cooldowns), f"cooldowns out, in = {cooldowns[0]} s, {cooldowns[1]} s")
        for bounds in account.scalable_targets:
            if bounds["ResourceId"] == policy["ResourceId"]:
                few, many = bounds["MinCapacity"], bounds["MaxCapacity"]
                yield Seen(name, few < many, f"from {few} to {many} tasks")
