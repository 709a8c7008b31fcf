"""Builds the images as they are shipped, and runs them with the restrictions of the deployment.

The images come from buildah, on a stand-in for their base that the distribution's packages make:
no registry is needed. Podman and runc run them, so that what restricts them is what an engine
restricts with.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pip
import pytest

from tests.support import debian
from tests.support.distribution_postgres import AS_NOBODY, NOBODY, installed

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "deploy" / "containers"
CACHE = ROOT / ".cache" / "containers"
SERVICES = ("adder", "display", "reset")
TOOLS = ("buildah", "haproxy", "openssl", "podman", "runc")
BASE = "localhost/tally-base:test"
REVISION = "0123456789abcdef0123456789abcdef01234567"
# What the deployment asks for: nothing can be written, nothing is allowed, no way to more.
RESTRICTIONS = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)
# What Podman sets by itself may be more than this machine allows.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=512:512")


def command(*arguments: object, **options: Any) -> str:
    """Run a command to its end; give what it says, or fail with all of it."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def wait_until_answered(url: str, alive: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a first answer of 200."""
    deadline = time.monotonic() + seconds
    # One client, and few looks at whether it lives: both take time from what is waited for.
    with httpx.Client() as client:
        while time.monotonic() < deadline:
            look_again = time.monotonic() + 2
            while time.monotonic() < look_again:
                with contextlib.suppress(httpx.TransportError):
                    if client.get(url).status_code == 200:
                        return
                time.sleep(0.02)
            if not alive():
                break
    raise AssertionError(f"{url} did not answer")


@dataclass(frozen=True)
class Container:
    """One that runs: its name, and its address on this machine."""

    engine: "Engine"
    name: str
    url: str

    def inspect(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self.engine.podman("inspect", self.name))[0]
        return described

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
        """Stop it as an orchestrator does, and give its exit status."""
        self.engine.podman("stop", "--time=10", self.name)
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
        return ["podman", *self.place, "--runtime=runc", *map(str, arguments)]

    @property
    def place(self) -> list[str]:
        return [f"--root={self.folder / 'store'}", f"--runroot={self.folder / 'run'}"]

    def podman(self, *arguments: object) -> str:
        return command(*self.words(*arguments))

    def image(self, tag: str) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self.podman("image", "inspect", tag))[0]
        return described

    def create(self, *arguments: str) -> str:
        """Start a container in the background; give its name."""
        name = f"tally-{secrets.token_hex(4)}"
        self.names.add(name)
        self.podman("run", "--detach", f"--name={name}", *RESTRICTIONS, *LIMITS, *arguments)
        return name

    def serve(self, image: str, *, port: int | None = None, **environment: str) -> Container:
        """Run an image's service on a port of this machine; return once it answers."""
        port = free_port() if port is None else port
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

    def close(self) -> None:
        if self.names:
            self.podman("rm", "--force", "--time=0", *self.names)
        self.podman("rmi", "--all", "--force")


def environment_options(environment: dict[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if name == "VOLUME":
            yield f"--volume={value}"
        else:
            yield f"--env={name}={value}"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("building and running images here needs root")
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


@dataclass(frozen=True)
class ManagedPostgres:
    """A PostgreSQL as a cloud gives one: by TCP with TLS, a password for each role."""

    port: int
    authority: Path
    passwords: dict[str, str]

    def url(self, role: str, authority: str) -> str:
        return (
            f"postgresql://{role}@127.0.0.1:{self.port}/postgres"
            f"?sslmode=verify-full&sslrootcert={authority}"
        )

    def environment(self, role: str) -> dict[str, str]:
        """What a container is given; its URL holds no password."""
        return {
            "TALLY_DATABASE_URL": self.url(role, "/opt/tally/authority.pem"),
            "PGPASSWORD": self.passwords[role],
            "VOLUME": f"{self.authority}:/opt/tally/authority.pem:ro",
        }


@pytest.fixture(scope="session")
def managed_postgres() -> Iterator[ManagedPostgres]:
    if not installed():
        pytest.skip("no PostgreSQL of the distribution's is installed: apt install postgresql")
    binaries = installed()[0]
    roles = ("owner", "tally_adder", "tally_display", "tally_reset")
    passwords = {role: secrets.token_hex(16) for role in roles}
    with tempfile.TemporaryDirectory(prefix="tally-managed-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        data, key, certificate = folder / "data", folder / "server.key", folder / "server.pem"
        command(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        )
        (folder / "password").write_text(passwords["owner"])
        for path in (folder, key, folder / "password"):
            if AS_NOBODY:
                os.chown(path, NOBODY, NOBODY)
        command(
            binaries / "initdb",
            *("-D", data, "-U", "owner", "-E", "UTF8", "-A", "scram-sha-256"),
            f"--pwfile={folder / 'password'}",
            cwd="/",
            **AS_NOBODY,
        )
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": folder,
            "ssl": "on",
            "ssl_key_file": key,
            "ssl_cert_file": certificate,
        }
        server = subprocess.Popen(
            [
                str(binaries / "postgres"),
                "-D",
                str(data),
                *(f"--{setting}={value}" for setting, value in settings.items()),
            ],
            stderr=(log := (folder / "log").open("wb")),
            cwd="/",
            **AS_NOBODY,
        )
        with log:
            deadline = time.monotonic() + 30
            while "ready to accept" not in (text := (folder / "log").read_text()):
                assert server.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.02)
            yield ManagedPostgres(port, certificate, passwords)
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)


@pytest.fixture(scope="session")
def schema(engine: Engine, images: dict[str, str], managed_postgres: ManagedPostgres) -> list[str]:
    """Run the schema step twice, as two deployments do; give what each said.

    It sets the services' passwords too, so that each can log in.
    """
    environment = managed_postgres.environment("owner")
    for service in SERVICES:
        environment[f"TALLY_{service.upper()}_PASSWORD"] = managed_postgres.passwords[
            f"tally_{service}"
        ]
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
    engine: Engine, images: dict[str, str], managed_postgres: ManagedPostgres, schema: list[str]
) -> Callable[..., Container]:
    """Start a service's container on the ledger, as its role."""

    def start(service: str, **more: Any) -> Container:
        environment = managed_postgres.environment(f"tally_{service}")
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
    port = free_port()
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
        assert process.wait(timeout=30) == 0
