"""The adder's machines: containers of its image, with the settings that user data writes."""

from collections.abc import Iterator

from rehearsal.containers import Containers
from rehearsal.found import Found, Host
from tally.aws.user_data import directives, written


def start(found: Found, containers: Containers) -> dict[Host, str]:
    """Start one for each machine of the group; give them by the hosts whose networks they have."""
    ids = {it["InstanceId"] for it in found.aws.autoscaling.adder_group["Instances"]}
    by_address = {it.address: it for it in found.interfaces}
    started: dict[Host, str] = {}
    for machine in found.aws.ec2.instances:
        if machine["InstanceId"] in ids:
            host = by_address[machine["PrivateIpAddress"]]
            described = _described(found, machine["InstanceId"], containers)
            started[host] = containers.start(host, *described)
    return started


def _described(found: Found, machine: str, containers: Containers) -> Iterator[str]:
    text = found.aws.ec2.user_data(machine)
    settings, place = (_variables(text, f"/etc/tally/{it}.env") for it in ("adder", "machine"))
    password = found.secret(place["SECRET_ID"], "password")
    yield from containers.environment({**settings, "PGPASSWORD": password})
    yield from (containers.images["adder"], "serve", "adder")


def _variables(text: str, path: str) -> dict[str, str]:
    """The variables in a file that user data writes."""
    return {name: it[-1] for name, it in directives(written(text, path)).items()}
