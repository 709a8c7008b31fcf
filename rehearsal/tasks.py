"""Tasks: containers that are held to what their task definitions say.

As on Fargate that is the user, a file system that can't be written to, no capabilities, and so much
processor and memory (ECS's developer guide, "Task definition parameters for Fargate").
"""

from collections.abc import Iterator

from rehearsal.containers import Containers
from rehearsal.found import Found, Host
from tally.aws.inventory.resources import Resource

# ECS's units of a processor.
_UNITS = 1024


def start(found: Found, containers: Containers) -> dict[Host, str]:
    """Start every task that AWS runs; give containers by the hosts whose networks they have."""
    definitions = found.aws.ecs.task_definitions
    return {
        host: containers.start(host, *_described(found, definitions[service], containers))
        for service in found.aws.ecs.services
        for host in hosts(found, service)
    }


def run_schema_step(found: Found, containers: Containers) -> str:
    """Run it to its end in the network of a task of the display's, and give what it said.

    It is given the display's security group (`deploy/containers/run-schema-step`).
    """
    definition = found.aws.ecs.task_definitions["schema"]
    return containers.run(hosts(found, "display")[0], *_described(found, definition, containers))


def hosts(found: Found, service: str) -> list[Host]:
    """The interfaces of a service's tasks: nobody else has its groups."""
    placed = found.aws.ecs.services[service]["networkConfiguration"]["awsvpcConfiguration"]
    groups = frozenset(placed["securityGroups"])
    return [it for it in found.interfaces if it.groups == groups]


def _described(found: Found, definition: Resource, containers: Containers) -> Iterator[str]:
    """What Podman is told of a task definition: options, image and command."""
    [container] = definition["containerDefinitions"]
    yield f"--cpus={int(definition['cpu']) / _UNITS}"
    yield f"--memory={definition['memory']}m"
    yield f"--user={container['user']}"
    if container["readonlyRootFilesystem"]:
        yield from ("--read-only", "--read-only-tmpfs=false")
    yield from (f"--cap-drop={it}" for it in container["linuxParameters"]["capabilities"]["drop"])
    plain = {it["name"]: it["value"] for it in container["environment"]}
    secrets = {it["name"]: _secret(found, it["valueFrom"]) for it in container["secrets"]}
    yield from containers.environment(plain | secrets)
    yield containers.images[_repository(container["image"])]
    yield from container["command"]


def _repository(image: str) -> str:
    """The last part of a repository's name: `display` of `registry/tally/display@sha256:...`."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _secret(found: Found, reference: str) -> str:
    """Read what ECS calls `arn:key::`."""
    parts = reference.split(":")
    return found.secret(":".join(parts[:7]), parts[7])
