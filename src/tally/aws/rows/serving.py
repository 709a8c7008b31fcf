"""What serves now: machines, tasks, the load balancer's targets, and of which release they are."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tally.aws.account import SERVICES, Account, tags_of
from tally.aws.requirement import Concern, Seen, equal, present
from tally.aws.rows.network import name_of

concern = Concern("What serves now")


# A target that has only just come, or that is about to go and still answers, is no fault.
_IN_ORDER: Final = {"healthy", "initial", "draining"}


def _fewest(account: Account) -> int:
    """How many of each service have to serve."""
    return 1 if account.profile == "small" else 2


@concern.requires("serving-machines", "The adder's machines are healthy, and as the group's")
def _machines(account: Account) -> Iterator[Seen]:
    group = account.adder_group
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
    yield Seen(name, healthy >= _fewest(account), f"healthy machines = {healthy}")


@concern.requires("serving-tasks", "The last deployment of each container service is completed")
def _tasks(account: Account) -> Iterator[Seen]:
    for service in account.ecs_services.values():
        name = service["serviceName"]
        # While the scaler adds tasks, fewer run than are desired.
        running = service["runningCount"]
        yield Seen(name, running >= _fewest(account), f"runningCount = {running}")
        for deployment in service["deployments"]:
            state = deployment.get("rolloutState")
            yield equal(name, f"{deployment['status']} rolloutState", state, "COMPLETED")


@concern.requires("serving-targets", "The load balancer has healthy targets of each service")
def _targets(account: Account) -> Iterator[Seen]:
    groups = {it["TargetGroupName"]: arn for arn, it in account.target_groups.items()}
    wanted = {f"{account.name}-{service}" for service in SERVICES}
    yield present(", ".join(sorted(groups)) or "no group", wanted - set(groups), "one for each")
    for name in sorted(wanted & set(groups)):
        states = Counter(account.target_health(groups[name]))
        good = states["healthy"] >= _fewest(account) and set(states) <= _IN_ORDER
        said = ", ".join(f"{state}: {count}" for state, count in sorted(states.items()))
        yield Seen(name, good, said or "no target")


@concern.requires("serving-release", "Every service runs the same release")
def _release(account: Account) -> Iterator[Seen]:
    running = {
        **{it["family"]: tags_of(it).get("Release") for it in account.task_definitions.values()},
        **{
            name_of(it, "InstanceId"): tags_of(it).get("Release")
            for it in account.instances
            if tags_of(it).get("Name") == f"{account.name}-adder"
        },
    }
    (most, _), *_ = Counter(running.values()).most_common(1) or [(None, 0)]
    for name, version in running.items():
        yield Seen(name, version is not None and version == most, f"Release = {version or 'none'}")
