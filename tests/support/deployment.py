"""The deployment, applied to an emulated AWS.

    python -m tests.support.deployment --name tally --profile production

starts an emulator, applies `infra/bootstrap` and then `infra` to it (some four minutes), prints the
endpoint, and stays until Ctrl-C. Anything that speaks to AWS can then be pointed at it:

    export AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_DEFAULT_REGION=us-east-1
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test

In tests, `Deployment.copy` gives a copy of an applied deployment within a second, to be broken.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.inventory import Resource, everything
from tests.support.paths import BOOTSTRAP, INFRA, ROOT

REGION = "us-east-1"
ACCOUNT = "123456789012"
# The emulator takes an access key for the name of the role that calls, whatever the secret; this
# one is an administrator's.
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# Nobody has the other half.
PUBLIC_KEY = (
    "ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIHKW1rbBv6zdlXLp/fwz705O74dmEyvDXWkLOPSy+7Q0 operator@example.com"
)
REPOSITORY = "example/tally"
REPOSITORY_ID = "1296269"
DOMAIN = "tally.example.com"
# Read once: deployments are made in threads, and pytest changes it for each test beside them.
_ENVIRONMENT = dict(os.environ)


@dataclass
class Emulator:
    """A running emulator, or a copy of one."""

    port: int
    pid: int
    calls: Path
    _process: "subprocess.Popen[str] | None" = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, folder: Path, port: int = 0) -> "Emulator":
        calls = folder / "calls.jsonl"
        with (folder / "emulator.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.support.emulator"),
                    *("--port", str(port), "--calls", str(calls)),
                    *("--databases", str(folder / "databases")),
                ],
                cwd=ROOT,
                # Certificates are issued at once; the emulator's own wait is a minute.
                env={**_ENVIRONMENT, **KEYS, "MOTO_ACM_VALIDATION_WAIT": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return cls(*cls._read(process), calls, process)

    @staticmethod
    def _read(process: "subprocess.Popen[str]") -> tuple[int, int]:
        assert process.stdout is not None
        port, pid = process.stdout.readline().split()
        return int(port), int(pid)

    @property
    def databases(self) -> Path:
        """Where tests say what stands behind emulated databases."""
        return self.calls.with_name("databases")

    @property
    def is_copy(self) -> bool:
        return self._process is None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What points a client at it, and at nothing else."""
        return {
            **KEYS,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, caller: str = KEYS["AWS_ACCESS_KEY_ID"]) -> Any:
        """A boto3 client of it, of an administrator or of a role."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            config=Config(proxies={}),  # it looks through the environment for them
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=caller,
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def put_alarm(self, name: str) -> None:
        """Make an alarm, of a metric that nobody writes."""
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="test",
            MetricName="errors",
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Threshold=1,
            Period=60,
            Statistic="Sum",
        )

    def run_script(
        self, script: str, programs: Path, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script of the checkout as an apply does, with the command line of `programs`."""
        path = f"{programs}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", ROOT / script],
            env=self.environment | {"PATH": path, "PAUSE": "0.2", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def copy(self) -> "Emulator":
        """A copy of all that it holds. It must have no request under way."""
        assert self._process is not None, "a copy can't be copied"
        assert self._process.stdin is not None
        with self._asking:
            self._process.stdin.write("fork\n")
            self._process.stdin.flush()
            return Emulator(*self._read(self._process), self.calls)

    def stop(self) -> None:
        if self.is_copy:
            os.kill(self.pid, signal.SIGTERM)
        else:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(timeout=60)
            assert self._process.stdout is not None
            self._process.stdout.close()


@dataclass
class Deployment:
    """One deployment: its emulator, its variables and its Terraform."""

    name: str
    profile: str
    folder: Path
    emulator: Emulator
    # What the account held before each step of `apply`.
    before_bootstrap: frozenset[Resource] = frozenset()
    before_deployment: frozenset[Resource] = frozenset()
    # What another apply would do, as `terraform show -json` describes a plan.
    second_plan: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, name: str, profile: str, folder: Path, port: int = 0) -> "Deployment":
        folder.mkdir(parents=True, exist_ok=True)
        return cls(name, profile, folder, Emulator.start(folder, port))

    @property
    def is_fork(self) -> bool:
        """Whether it lives in a copy of another deployment's emulator, and ends with that."""
        return self.emulator.is_copy

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator."""
        return self.emulator.client(service)

    def terraform(self, module: Path, *arguments: str, phase: str = "") -> str:
        """Run Terraform in a module; return what it printed, or raise with all that it said."""
        done = run(
            ["terraform", f"-chdir={module}", *arguments],
            env=terraform_environment(self.folder)
            | self.emulator.environment
            | ({} if module == BOOTSTRAP else self.keys(role_of(arguments[0])))
            | {
                "PATH": f"{aws_command(self.folder / 'programs')}:{os.environ['PATH']}",
                # The command line's way to name the phase.
                "AWS_EXECUTION_ENV": f"{module.name}/{phase or arguments[0]}",
                "TF_DATA_DIR": str(self.folder / f"data-{module.name}"),
                # The programs that an apply runs wait for what takes no time here.
                "PAUSE": "0.2",
                # Names the phase in every call, for the record of calls.
                "TF_APPEND_USER_AGENT": f"{module.name}/{phase or arguments[0]}",
            },
        )
        if done.returncode:
            raise AssertionError(f"terraform {arguments}: {done.stdout}\n{done.stderr}")
        return done.stdout

    def keys(self, purpose: str) -> dict[str, str]:
        """What makes a caller one of continuous integration's roles, here where keys are names."""
        return {"AWS_ACCESS_KEY_ID": f"{self.name}-ci-{purpose}"}

    def output(self, name: str) -> Any:
        """One of the deployment's outputs."""
        return json.loads(self.terraform(INFRA, "output", "-json", name))

    def bootstrap(self, *arguments: str, phase: str = "") -> str:
        """Run a command in `infra/bootstrap`, whose state is a file."""
        return self.terraform(
            BOOTSTRAP,
            *arguments,
            "-input=false",
            "-no-color",
            f"-state={self.folder / 'bootstrap.tfstate'}",
            f"-var=name={self.name}",
            f"-var=github_repository={REPOSITORY}",
            f"-var=github_repository_id={REPOSITORY_ID}",
            phase=phase,
        )

    def infra(self, *arguments: str, phase: str = "") -> str:
        """Run a command in `infra`, with this deployment's variables and those given."""
        command, *options = arguments
        return self.terraform(
            INFRA,
            command,
            "-input=false",
            "-no-color",
            f"-var-file={self._variables()}",
            *options,  # after the file, whose values they take the place of
            phase=phase,
        )

    def apply_bootstrap(self) -> None:
        self.terraform(BOOTSTRAP, "init", "-input=false", "-no-color", "-lockfile=readonly")
        self.bootstrap("apply", "-auto-approve")

    def init(self) -> None:
        self.terraform(
            INFRA,
            "init",
            "-input=false",
            "-no-color",
            "-lockfile=readonly",
            f"-backend-config=bucket={self.name}-state-{ACCOUNT}",
        )

    def apply(self) -> "Deployment":
        """Bootstrap and deployment, from nothing."""
        # One profile has a domain from the first, the other is given one and loses it again.
        self.client("route53").create_hosted_zone(Name="example.com", CallerReference="test")
        self.before_bootstrap = frozenset(everything(self.client))
        self.apply_bootstrap()
        self.init()
        self.before_deployment = frozenset(everything(self.client))
        self.infra("apply", "-auto-approve")
        self.second_plan = plan(self)
        return self

    def fork(self) -> "Deployment":
        """The same deployment in a copy of the emulator, to be changed at will, and then ended."""
        folder = self.folder.with_name(f"{self.folder.name}-copy-{os.urandom(4).hex()}")
        shutil.copytree(
            self.folder, folder, ignore=shutil.ignore_patterns("*.jsonl", "*.log"), symlinks=True
        )
        return replace(self, folder=folder, emulator=self.emulator.copy())

    @contextmanager
    def copy(self) -> Iterator["Deployment"]:
        """A fork that ends by itself."""
        fork = self.fork()
        try:
            yield fork
        finally:
            fork.stop()
            shutil.rmtree(fork.folder)

    def stop(self) -> None:
        self.emulator.stop()

    def domain(self) -> dict[str, str]:
        """The variables of a domain in the account's zone."""
        [zone] = self.client("route53").list_hosted_zones()["HostedZones"]
        return {"domain_name": DOMAIN, "domain_zone_id": zone["Id"].rpartition("/")[2]}

    def balancer(self) -> str:
        """The load balancer's ARN, which changes only if another takes its place."""
        [found] = self.client("elbv2").describe_load_balancers()["LoadBalancers"]
        return str(found["LoadBalancerArn"])

    def _variables(self) -> Path:
        key = self.folder / "id_ed25519.pub"
        key.write_text(PUBLIC_KEY)
        variables = {
            "name": self.name,
            "profile": self.profile,
            "allowed_bastion_ips": ["203.0.113.7/32", "198.51.100.0/24"],
            "ssh_public_key_path": str(key),
            "alarm_email": "operator@example.com",
            "release": release(self.name),
        }
        if self.profile == "small":
            variables |= self.domain()
        path = self.folder / "variables.tfvars.json"
        path.write_text(json.dumps(variables))
        return path


def role_of(command: str) -> str:
    """Which of continuous integration's roles runs a command of Terraform's on the deployment."""
    return "apply" if command in {"apply", "destroy"} else "plan"


_running: set["subprocess.Popen[str]"] = set()


def run(
    command: list[str], env: dict[str, str], cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, or until `end_what_runs`."""
    process = subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # With all that it starts itself, it can be ended as one.
        start_new_session=True,
    )
    _running.add(process)
    try:
        said, complained = process.communicate()
    finally:
        _running.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def end_what_runs() -> None:
    """End the commands that other threads are running."""
    for process in list(_running):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def plan(deployment: Deployment, *arguments: str) -> dict[str, Any]:
    """What an apply would do now, as `terraform show -json` describes a plan."""
    path = deployment.folder / "plan"
    # As the workflows plan: the role may not write, and a lock is a file beside the state.
    deployment.infra("plan", "-lock=false", f"-out={path}", *arguments)
    described = deployment.terraform(INFRA, "show", "-json", str(path))
    return json.loads(described)


def planned(deployment: Deployment) -> list[dict[str, Any]]:
    """Every resource of the second plan, those of its modules too."""

    def walk(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from module.get("resources", [])
        for child in module.get("child_modules", []):
            yield from walk(child)

    return list(walk(deployment.second_plan["planned_values"]["root_module"]))


def release(name: str, version: str = "1" * 40) -> dict[str, str]:
    """A release as continuous integration would describe it."""
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}"
    return {
        "version": version,
        "display_image": f"{registry}/display@sha256:{'d' * 64}",
        "reset_image": f"{registry}/reset@sha256:{'e' * 64}",
        "adder_key": f"adder/{version}.pex",
        "adder_sha256": "a" * 64,
        "adder_image": f"ami-{version[:17]}",
    }


def terraform_environment(folder: Path) -> dict[str, str]:
    """An environment in which Terraform takes its provider from the mirror, if there is one."""
    environment = {
        name: value for name, value in _ENVIRONMENT.items() if not name.startswith(("AWS_", "TF_"))
    }
    environment |= {
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        # Less collecting, more memory: a fifth of the processor time of each command.
        "GOGC": "400",
    }
    if mirror := os.environ.get("TALLY_TERRAFORM_MIRROR"):
        configuration = folder / "terraform.rc"
        configuration.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
        )
        environment["TF_CLI_CONFIG_FILE"] = str(configuration)
    return environment


def aws_command(folder: Path) -> Path:
    """A folder with AWS's command line, for a PATH: it asks AWS_ENDPOINT_URL, whatever service.

    Of RDS in us-east-1 its first version knows better than its environment, and its own script
    fails where the checkout's path has a space.
    """
    folder.mkdir(exist_ok=True)
    command = folder / "aws"
    command.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m awscli --endpoint-url "$AWS_ENDPOINT_URL" "$@"\n'
    )
    command.chmod(0o755)
    return folder


def main() -> None:
    """Apply, print the endpoint, and stay."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="tally")
    parser.add_argument("--profile", choices=("production", "small"), default="production")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tally-deployment-") as folder:
        deployment = Deployment.start(
            arguments.name, arguments.profile, Path(folder), arguments.port
        )
        try:
            sys.stderr.write(f"Emulator at {deployment.emulator.url}; applying ...\n")
            deployment.apply()
            sys.stdout.write(f"{deployment.emulator.url}\n")
            sys.stdout.flush()
            signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            deployment.stop()


if __name__ == "__main__":
    main()
