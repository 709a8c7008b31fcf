"""What serves now: machines, tasks, the load balancer's targets, and of which release they are."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import SERVICES, Inventory
from tally.aws.inventory.resources import Resource, name_of, tags_of
from tally.aws.predicates import at_least, empty, includes
from tally.aws.requirement import Concern, Evidence, Verdict, hold, named, verdict

concern = Concern("What serves now")
requires = concern.requires

# A target that has only just come, or that is about to go and still answers, is no fault.
_IN_ORDER: Final = {"healthy", "initial", "draining"}

_services = named("serviceName", lambda aws: aws.ecs.services.values())


def _fewest(aws: Inventory) -> int:
    return 1 if aws.profile == "small" else 2


@requires("serving-machines", "The adder's machines are healthy, and as the group's")
def _machines(aws: Inventory) -> Iterator[Evidence]:
    group = aws.autoscaling.adder_group
    wanted = group.get("LaunchTemplate", {}).get("Version")
    # A machine that was taken aside to be looked at counts neither way.
    serving = [it for it in group["Instances"] if it["LifecycleState"] == "InService"]
    for machine in serving:
        version = machine.get("LaunchTemplate", {}).get("Version")
        yield hold(machine["InstanceId"], "version", version, wanted)
    healthy = sum(it["HealthStatus"] == "Healthy" for it in serving)
    name = group["AutoScalingGroupName"]
    yield hold(name, "healthy machines", healthy, at_least(_fewest(aws)))


_tasks = requires("serving-tasks", "The last deployment of each container service is completed")
_tasks.field(_services, "deployments[?rolloutState!='COMPLETED'].status", empty, "unfinished")


@_tasks.each(_services)
def _running(aws: Inventory, service: Resource) -> Verdict:
    # While the scaler adds tasks, fewer run than are desired.
    return verdict("runningCount", service["runningCount"], at_least(_fewest(aws)))


@requires("serving-targets", "The load balancer has healthy targets of each service")
def _targets(aws: Inventory) -> Iterator[Evidence]:
    groups = {it["TargetGroupName"]: arn for arn, it in aws.elbv2.target_groups.items()}
    wanted = {f"{aws.name}-{service}" for service in SERVICES}
    yield hold("target groups", "one for each", sorted(groups), includes(wanted))
    for name in sorted(wanted & set(groups)):
        states = Counter(it["TargetHealth"]["State"] for it in aws.elbv2.targets(groups[name]))
        good = states["healthy"] >= _fewest(aws) and set(states) <= _IN_ORDER
        text = ", ".join(f"{state}: {count}" for state, count in sorted(states.items()))
        yield Evidence(name, good, text or "no target")


@requires("serving-release", "Every service runs the same release, and so did the schema step")
def _release(aws: Inventory) -> Iterator[Evidence]:
    machines = [it for it in aws.ec2.instances if tags_of(it).get("Name") == f"{aws.name}-adder"]
    running = {
        **{it["family"]: tags_of(it).get("Release") for it in aws.ecs.task_definitions.values()},
        **{name_of(it, "InstanceId"): tags_of(it).get("Release") for it in machines},
    }
    (most, _), *_ = Counter(running.values()).most_common(1) or [(None, 0)]
    for name, version in running.items():
        good = version is not None and version == most
        yield Evidence(name, good, f"Release = {version or 'none'}")
