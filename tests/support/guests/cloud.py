"""What the machines talk to: an emulator under AWS's names, and a PostgreSQL with TLS."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme

from tests.support.guests.network import METADATA, Network
from tests.support.postgres import execute

REGION = "us-east-1"
BUCKET = "tally-release"
# Each of these roles has its password in a secret of that name.
SECRETS = {"tally_adder": "tally/adder", "tally_operator": "tally/operator"}
DATABASE_HOST = f"tally.example.{REGION}.rds.amazonaws.com"
# As the command line may ask for it.
BUCKET_NAMES = (f"s3.{REGION}.amazonaws.com", f"{BUCKET}.s3.{REGION}.amazonaws.com")
# The emulator has AWS's names and a certificate that the machines trust: nothing on a machine has
# to be told that it is not on AWS.
NAMES = (
    *BUCKET_NAMES,
    f"secretsmanager.{REGION}.amazonaws.com",
    DATABASE_HOST,
)
_NOBODY = 65534  # PostgreSQL refuses to run as root


@dataclass(frozen=True)
class Cloud:
    """The running emulator and database; `authority`, a file of PEM, vouches for both."""

    network: Network
    authority: Path
    database_url: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=f"https://{self.network.cloud_address}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            verify=str(self.authority),
        )

    def upload(self, file: Path, key: str) -> None:
        self.client("s3").upload_file(str(file), BUCKET, key)

    def change_password(self, role: str) -> None:
        """Give a role another password, in the database and in its secret."""
        password = secrets.token_urlsafe()
        execute(self.database_url, f"ALTER ROLE {role} PASSWORD '{password}'")
        self.client("secretsmanager").put_secret_value(
            SecretId=SECRETS[role],
            SecretString=json.dumps({"username": role, "password": password}),
        )

    def password(self, role: str) -> str:
        """Return a role's password."""
        secret = self.client("secretsmanager").get_secret_value(SecretId=SECRETS[role])
        return json.loads(secret["SecretString"])["password"]


@contextlib.contextmanager
def cloud(network: Network) -> Iterator[Cloud]:
    """Run all of it: an empty release bucket, a migrated database, the roles' secrets."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("no PostgreSQL of the distribution's is installed: apt install postgresql")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-cloud-")))
        os.chown(folder, _NOBODY, _NOBODY)
        authority, certificate, key = _certificates(folder, network)
        emulator = [sys.executable, "-m", "moto.server"]
        tls = ["-s", "-c", str(certificate), "-k", str(key)]
        log = stack.enter_context((folder / "emulator.log").open("w"))
        for arguments in (["-H", "0.0.0.0", "-p", "443", *tls], ["-H", METADATA, "-p", "80"]):
            command = network.in_cloud(*emulator, *arguments)
            stack.enter_context(_running(command, log, signal.SIGTERM))
        url = stack.enter_context(_postgres(programs[-1], folder, certificate, key, network))
        for address in ((network.cloud_address, 443), (METADATA, 80)):
            _wait_for(network.in_cloud("bash", "-c", "</dev/tcp/{}/{}".format(*address)))

        migrate = [sys.executable, "-m", "tally", "migrate"]
        subprocess.run(
            migrate,
            env={**os.environ, "TALLY_DATABASE_URL": url},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        made = Cloud(network, authority, url)
        made.client("s3").create_bucket(Bucket=BUCKET)
        for role, secret in SECRETS.items():
            made.client("secretsmanager").create_secret(Name=secret)
            made.change_password(role)
        yield made


def _certificates(folder: Path, network: Network) -> tuple[Path, Path, Path]:
    authority = trustme.CA()
    issued = authority.issue_cert(*NAMES, network.cloud_address)
    files = folder / "authority.pem", folder / "certificate.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(files[0])
    issued.cert_chain_pems[0].write_to_path(files[1])
    issued.private_key_pem.write_to_path(files[2])
    files[2].chmod(0o600)
    os.chown(files[2], _NOBODY, _NOBODY)
    return files


@contextlib.contextmanager
def _running(command: list[str], log: Any, end: signal.Signals) -> Iterator[None]:
    with subprocess.Popen(command, stdout=log, stderr=log, cwd="/") as process:
        try:
            yield
        finally:
            process.send_signal(end)


@contextlib.contextmanager
def _postgres(
    programs: Path, folder: Path, certificate: Path, key: Path, network: Network
) -> Iterator[str]:
    """Give the superuser's address; others get in with TLS and their password only."""
    nobody = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    data = folder / "data"
    subprocess.run(
        [*nobody, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    (data / "pg_hba.conf").write_text(
        "local all postgres trust\nhostssl all all 0.0.0.0/0 scram-sha-256\n"
    )
    settings = {
        "listen_addresses": network.cloud_address,
        "unix_socket_directories": folder,
        "ssl": "on",
        "ssl_cert_file": certificate,
        "ssl_key_file": key,
    }
    command = [*nobody, str(programs / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with (
        (folder / "postgres.log").open("w") as log,
        # SIGINT to PostgreSQL: end now, whoever is connected.
        _running(network.in_cloud(*command), log, signal.SIGINT),
    ):
        _wait_for([str(programs / "pg_isready"), "-q", "-h", str(folder)])
        server = f"?host={folder}"
        execute(f"postgresql://postgres@/postgres{server}", "CREATE DATABASE tally")
        yield f"postgresql://postgres@/tally{server}"


def _wait_for(probe: list[str], seconds: float = 30) -> None:
    """Wait until a command succeeds."""
    deadline = time.monotonic() + seconds
    while subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        assert time.monotonic() < deadline, f"{probe} did not succeed in time"
        time.sleep(0.1)
