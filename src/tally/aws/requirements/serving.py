"""What serves now: machines, tasks, the load balancer's targets, and of which release they are."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import SERVICES, Inventory
from tally.aws.inventory.resources import tags_of
from tally.aws.requirement import Concern, Evidence, equal, present
from tally.aws.requirements.network import name_of

concern = Concern("What serves now")


# A target that has only just come, or that is about to go and still answers, is no fault.
_IN_ORDER: Final = {"healthy", "initial", "draining"}


def _fewest(aws: Inventory) -> int:
    """How many of each service have to serve."""
    return 1 if aws.profile == "small" else 2


@concern.requires("serving-machines", "The adder's machines are healthy, and as the group's")
def _machines(aws: Inventory) -> Iterator[Evidence]:
    group = aws.autoscaling.adder_group
    wanted = group.get("LaunchTemplate", {}).get("Version")
    healthy = 0
    for machine in group["Instances"]:
        state, health = machine["LifecycleState"], machine["HealthStatus"]
        # A machine that was taken aside to be looked at counts neither way.
        if state == "InService":
            healthy += health == "Healthy"
            version = machine.get("LaunchTemplate", {}).get("Version")
            yield equal(machine["InstanceId"], "version", version, wanted)
    name = group["AutoScalingGroupName"]
    yield Evidence(name, healthy >= _fewest(aws), f"healthy machines = {healthy}")


@concern.requires("serving-tasks", "The last deployment of each container service is completed")
def _tasks(aws: Inventory) -> Iterator[Evidence]:
    for service in aws.ecs.services.values():
        name = service["serviceName"]
        # While the scaler adds tasks, fewer run than are desired.
        running = service["runningCount"]
        yield Evidence(name, running >= _fewest(aws), f"runningCount = {running}")
        for deployment in service["deployments"]:
            state = deployment.get("rolloutState")
            yield equal(name, f"{deployment['status']} rolloutState", state, "COMPLETED")


@concern.requires("serving-targets", "The load balancer has healthy targets of each service")
def _targets(aws: Inventory) -> Iterator[Evidence]:
    groups = {it["TargetGroupName"]: arn for arn, it in aws.elbv2.target_groups.items()}
    wanted = {f"{aws.name}-{service}" for service in SERVICES}
    yield present(", ".join(sorted(groups)) or "no group", wanted - set(groups), "one for each")
    for name in sorted(wanted & set(groups)):
        states = Counter(aws.elbv2.target_health(groups[name]))
        good = states["healthy"] >= _fewest(aws) and set(states) <= _IN_ORDER
        said = ", ".join(f"{state}: {count}" for state, count in sorted(states.items()))
        yield Evidence(name, good, said or "no target")


@concern.requires("serving-release", "Every service runs the same release")
def _release(aws: Inventory) -> Iterator[Evidence]:
    running = {
        **{it["family"]: tags_of(it).get("Release") for it in aws.ecs.task_definitions.values()},
        **{
            name_of(it, "InstanceId"): tags_of(it).get("Release")
            for it in aws.ec2.instances
            if tags_of(it).get("Name") == f"{aws.name}-adder"
        },
    }
    (most, _), *_ = Counter(running.values()).most_common(1) or [(None, 0)]
    for name, version in running.items():
        yield Evidence(
            name, version is not None and version == most, f"Release = {version or 'none'}"
        )
