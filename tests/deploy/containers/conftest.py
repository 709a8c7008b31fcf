"""The images as they are shipped, run behind the balancer."""

import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.containers import (
    CONTAINERS,
    LIMITS,
    RESTRICTIONS,
    SERVICES,
    Container,
    Engine,
    LedgerDatabase,
    environment_options,
    new_engine,
    wait_until_answered,
)
from tests.support.images import build
from tests.support.managed_postgres import Certificates, managed_postgres
from tests.support.postgres import execute
from tests.support.processes import unused_port
from tests.support.programs import need

TOOLS = ("buildah", "haproxy", "podman", "runc")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if os.geteuid() != 0:
        pytest.skip("only root builds and runs images here")
    need(*TOOLS)
    with new_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """Every image, by its service."""
    return build(engine)


@pytest.fixture(scope="session")
def database() -> Iterator[LedgerDatabase]:
    names = ("owner", *(f"tally_{service}" for service in SERVICES))
    passwords = {name: secrets.token_hex(16) for name in names}
    with tempfile.TemporaryDirectory(prefix="tally-managed-") as folder:
        certificates = Certificates.issue(Path(folder), "127.0.0.1")
        with managed_postgres(Path(folder), certificates, "127.0.0.1", unused_port()) as server:
            # Whoever migrates sets the services' passwords; the owner has its own from the start.
            create = f"CREATE ROLE owner SUPERUSER LOGIN PASSWORD '{passwords['owner']}'"
            execute(server.admin_url, create)
            yield LedgerDatabase(server, passwords)


@pytest.fixture(scope="session")
def schema(engine: Engine, images: dict[str, str], database: LedgerDatabase) -> list[str]:
    """Run the schema step twice, as two deployments do; give what each said.

    It sets the services' passwords too, so that each can log in.
    """
    environment = database.environment("owner")
    for service in SERVICES:
        environment[f"TALLY_{service.upper()}_PASSWORD"] = database.passwords[f"tally_{service}"]
    return [
        engine.podman(
            "run",
            "--rm",
            *RESTRICTIONS,
            *LIMITS,
            "--network=host",
            "--no-healthcheck",
            *environment_options(environment),
            images["display"],
            "migrate",
        )
        for _ in range(2)
    ]


@pytest.fixture(scope="session")
def start(
    engine: Engine, images: dict[str, str], database: LedgerDatabase, schema: list[str]
) -> Callable[..., Container]:
    """Start a service's container on the ledger, as its role."""

    def start(service: str, **more: Any) -> Container:
        environment = database.environment(f"tally_{service}")
        return engine.serve(images[service], **environment, **more)

    return start


@pytest.fixture(scope="session")
def containers(start: Callable[..., Container]) -> dict[str, Container]:
    """The three services, each in a container of its own, on one ledger."""
    return {service: start(service) for service in SERVICES}


@dataclass(frozen=True)
class Balanced:
    """All of Tally behind one port."""

    url: str


@pytest.fixture(scope="session")
def server(containers: dict[str, Container]) -> Iterator[Balanced]:
    """The balancer of the compose file before the three containers."""
    port = unused_port()
    addresses = {
        service.upper(): container.url.removeprefix("http://")
        for service, container in containers.items()
    }
    process = subprocess.Popen(
        ["haproxy", "-db", "-f", str(CONTAINERS / "haproxy.cfg")],
        env={**os.environ, "PORT": str(port), **addresses},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for service in SERVICES:
            wait_until_answered(f"{url}/{service}_service/readyz", lambda: process.poll() is None)
        yield Balanced(url)
    finally:
        # Finish what is under way, then end; SIGTERM would cut it off.
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=60) == 0
