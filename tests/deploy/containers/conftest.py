"""Builds the images as they are shipped, and runs them behind the balancer.

The images come from buildah, on a stand-in for their base that the distribution's packages make:
no registry is needed.
"""

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pip
import pytest

from tests.support import debian
from tests.support.containers import (
    BASE,
    CONTAINERS,
    LIMITS,
    RESTRICTIONS,
    REVISION,
    ROOT,
    SERVICES,
    Container,
    Engine,
    LedgerDatabase,
    command,
    environment_options,
    wait_until_answered,
)
from tests.support.managed_postgres import Certificates, managed_postgres
from tests.support.postgres import execute
from tests.support.processes import unused_port
from tests.support.programs import need

CACHE = ROOT / ".cache" / "containers"
TOOLS = ("buildah", "haproxy", "podman", "runc")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if os.geteuid() != 0:
        pytest.skip("only root builds and runs images here")
    need(*TOOLS)
    folder = Path(tempfile.mkdtemp(prefix="tally-images-"))
    engine = Engine(folder)
    try:
        yield engine
    finally:
        engine.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """The stand-in for the images' base: the same Debian and Python, laid out alike."""
    root = debian.root(("ca-certificates", "netbase", "python3", "tzdata"))
    archive = engine.folder / "base.tar"
    # As in the official image: nothing compiled, no caches, pip where Python looks for additions.
    left_out = ("__pycache__", "./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*")
    exclude = [f"--exclude={pattern}" for pattern in left_out]
    command("tar", "--create", f"--file={archive}", f"--directory={root}", *exclude, ".")
    command(
        *("tar", "--append", f"--file={archive}", *exclude),
        *("--owner=0", "--group=0", "--transform=s,^,./usr/local/lib/python3.11/dist-packages/,"),
        *(f"--directory={Path(pip.__file__).parents[1]}", "pip"),
    )
    engine.podman("import", "--quiet", archive, BASE)
    archive.unlink()
    return BASE


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The packages that the build installs, from wherever this machine's pip takes them."""
    requirements = [ROOT / "requirements" / f"{name}.txt" for name in ("build", "services")]
    folder = CACHE / f"wheels-{digest(*(file.read_bytes() for file in requirements))}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for file in requirements:
            command(
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--require-hashes",
                "--only-binary=:all:",
                f"--dest={part}",
                f"--requirement={file}",
            )
        part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def images(engine: Engine, base: str, wheels: Path) -> dict[str, str]:
    """Every image, by its service."""
    settings = engine.folder / "pip.conf"
    settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    tags = {service: f"localhost/tally-{service}:test" for service in SERVICES}
    for service, tag in tags.items():
        command(
            "buildah",
            *engine.place,
            "build",
            "--isolation=chroot",
            "--layers",
            "--format=docker",
            f"--build-arg=BASE={base}",
            f"--build-arg=REVISION={REVISION}",
            "--build-arg=SOURCE=https://example.org/tally",
            "--build-arg=VERSION=0.1.0",
            f"--secret=id=pip,src={settings}",
            f"--volume={wheels}:/wheels:ro",
            f"--target={service}",
            f"--tag={tag}",
            f"--file={CONTAINERS / 'Containerfile'}",
            ROOT,
        )
    return tags


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
