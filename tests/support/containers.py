"""The images' containers, run with the restrictions of the deployment.

Podman and runc run them, so that what restricts them is what an engine restricts with.
"""

import contextlib
import itertools
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.managed_postgres import ManagedPostgres
from tests.support.processes import unused_port, wait_for

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "deploy" / "containers"
SERVICES = ("adder", "display", "reset")
BASE = "localhost/tally-base:test"
REVISION = "0123456789abcdef0123456789abcdef01234567"
# What the deployment asks for: nothing can be written, nothing is allowed, no way to more.
RESTRICTIONS = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)
# As the images declare it, before the service's name. infra/ gives the same to ECS.
HEALTH_CHECK = ("python3", "-I", "-S", "/opt/tally/lib/tally/services/health.py")
# What Podman sets by itself may be more than this machine allows.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=512:512")


def command(*arguments: object) -> str:
    """Run a command to its end; give what it says, or fail with all of it."""
    done = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_until_answered(url: str, alive: Callable[[], bool]) -> None:
    """Wait for a first answer of 200."""
    tries = itertools.count(1)
    # One client, and few looks at whether it lives: both take time from what is waited for.
    with httpx.Client() as client:

        def answered() -> bool:
            with contextlib.suppress(httpx.TransportError):
                if client.get(url).status_code == 200:
                    return True
            assert next(tries) % 100 or alive(), f"{url} did not answer"
            return False

        wait_for(answered, said=f"for {url}")


@dataclass(frozen=True)
class Container:
    """One that runs: its name, and its address on this machine."""

    engine: "Engine"
    name: str
    url: str

    def inspect(self) -> dict[str, Any]:
        return self.engine.inspect(self.name)

    def status(self) -> dict[str, str]:
        """Its first process as the kernel sees it: /proc/PID/status."""
        lines = Path(f"/proc/{self.inspect()['State']['Pid']}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def processor_seconds(self) -> float:
        """What its first process has worked so far: /proc/PID/stat, proc_pid_stat(5)."""
        fields = Path(f"/proc/{self.inspect()['State']['Pid']}/stat").read_text()
        # The name, in brackets, may hold anything; utime and stime are fields 14 and 15.
        user, system = fields.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def execute(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.engine.words("exec", self.name, *arguments),
            capture_output=True,
            text=True,
            check=False,
        )

    def stop(self) -> int:
        """Stop it as an orchestrator does, with a busy machine's patience; give its exit status."""
        self.engine.podman("stop", "--time=60", self.name)
        status: int = self.inspect()["State"]["ExitCode"]
        return status

    def logs(self) -> str:
        return self.engine.podman("logs", self.name)


@dataclass(frozen=True)
class Engine:
    """Buildah and Podman over a store of their own."""

    folder: Path
    names: set[str] = field(default_factory=set)

    def words(self, *arguments: object) -> list[str]:
        # Else both keep something in /run.
        apart = (f"--tmpdir={self.folder / 'tmp'}", f"--runtime-flag=root={self.folder / 'runc'}")
        return ["podman", *self.place, "--runtime=runc", *apart, *map(str, arguments)]

    @property
    def place(self) -> list[str]:
        return [f"--root={self.folder / 'store'}", f"--runroot={self.folder / 'run'}"]

    def podman(self, *arguments: object) -> str:
        return command(*self.words(*arguments))

    def inspect(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self.podman("inspect", name))[0]
        return described

    def image(self, tag: str) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self.podman("image", "inspect", tag))[0]
        return described

    def create(self, *arguments: str) -> str:
        """Start a container that may do nothing, in the background; give its name."""
        return self.start(*RESTRICTIONS, *LIMITS, *arguments)

    def start(self, *arguments: str) -> str:
        """Start a container in the background; give its name."""
        name = f"tally-{secrets.token_hex(4)}"
        self.names.add(name)
        self.podman("run", "--detach", f"--name={name}", *arguments)
        return name

    def serve(self, image: str, *, port: int | None = None, **environment: str) -> Container:
        """Run an image's service on a port of this machine; return once it answers."""
        port = unused_port() if port is None else port
        service = image.removeprefix("localhost/tally-").removesuffix(":test")
        name = self.create(
            "--network=host",
            "--no-healthcheck",
            f"--env=TALLY_PORT={port}",
            *environment_options(environment),
            image,
        )
        container = Container(self, name, f"http://127.0.0.1:{port}")
        wait_until_answered(
            f"{container.url}/{service}_service/healthz",
            lambda: container.inspect()["State"]["Running"],
        )
        return container

    def remove_containers(self) -> None:
        if self.names:
            self.podman("rm", "--force", "--time=0", *self.names)
        self.names.clear()

    def close(self) -> None:
        self.remove_containers()
        self.podman("rmi", "--all", "--force")


@contextlib.contextmanager
def new_engine() -> Iterator[Engine]:
    """An engine whose images and containers end with it."""
    with (
        tempfile.TemporaryDirectory(prefix="tally-images-") as folder,
        contextlib.closing(Engine(Path(folder))) as engine,
    ):
        yield engine


@dataclass(frozen=True)
class LedgerDatabase:
    """The database of the containers, and what tells one of them of it."""

    server: ManagedPostgres
    passwords: dict[str, str]

    def url(self, role: str, authority: str) -> str:
        return (
            f"postgresql://{role}@{self.server.address}:{self.server.port}/tally"
            f"?sslmode=verify-full&sslrootcert={authority}"
        )

    def environment(self, role: str) -> dict[str, str]:
        """What a container is given; its URL holds no password."""
        return {
            "TALLY_DATABASE_URL": self.url(role, "/opt/tally/authority.pem"),
            "PGPASSWORD": self.passwords[role],
            "VOLUME": f"{self.server.authority}:/opt/tally/authority.pem:ro",
        }


def environment_options(environment: dict[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if name == "VOLUME":
            yield f"--volume={value}"
        else:
            yield f"--env={name}={value}"
