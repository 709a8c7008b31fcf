"""What the machines talk to: an emulator under AWS's names, and a PostgreSQL with TLS."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import boto3

from tests.support.guests.network import METADATA, Network
from tests.support.managed_postgres import Certificates, ManagedPostgres, managed_postgres

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


@dataclass(frozen=True)
class Cloud:
    """The running emulator and database."""

    network: Network
    database: ManagedPostgres

    @property
    def authority(self) -> Path:
        """A file of PEM that vouches for both."""
        return self.database.authority

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
        password = self.database.set_password(role)
        self.client("secretsmanager").put_secret_value(
            SecretId=SECRETS[role],
            SecretString=json.dumps({"username": role, "password": password}),
        )

    def password(self, role: str) -> str:
        secret = self.client("secretsmanager").get_secret_value(SecretId=SECRETS[role])
        return json.loads(secret["SecretString"])["password"]


@contextlib.contextmanager
def cloud(network: Network) -> Iterator[Cloud]:
    """Run all of it: an empty release bucket, a migrated database, the roles' secrets."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-cloud-")))
        certificates = Certificates.issue(folder, *NAMES, network.cloud_address)
        emulator = [sys.executable, "-m", "moto.server"]
        tls = ["-s", "-c", str(certificates.certificate), "-k", str(certificates.key)]
        log = stack.enter_context((folder / "emulator.log").open("w"))
        for arguments in (["-H", "0.0.0.0", "-p", "443", *tls], ["-H", METADATA, "-p", "80"]):
            command = network.in_cloud(*emulator, *arguments)
            stack.enter_context(_running(command, log))
        database = stack.enter_context(
            managed_postgres(folder, certificates, network.cloud_address, enter=network.in_cloud)
        )
        for address in ((network.cloud_address, 443), (METADATA, 80)):
            _wait_for(network.in_cloud("bash", "-c", "</dev/tcp/{}/{}".format(*address)))

        migrate = [sys.executable, "-m", "tally", "migrate"]
        subprocess.run(
            migrate,
            env={**os.environ, "TALLY_DATABASE_URL": database.admin_url},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        made = Cloud(network, database)
        made.client("s3").create_bucket(Bucket=BUCKET)
        for role, secret in SECRETS.items():
            made.client("secretsmanager").create_secret(Name=secret)
            made.change_password(role)
        yield made


@contextlib.contextmanager
def _running(command: list[str], log: TextIO) -> Iterator[None]:
    with subprocess.Popen(command, stdout=log, stderr=log, cwd="/") as process:
        try:
            yield
        finally:
            process.terminate()


def _wait_for(probe: list[str], seconds: float = 60) -> None:
    """Wait until a command succeeds."""
    deadline = time.monotonic() + seconds
    while subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        assert time.monotonic() < deadline, f"{probe} did not succeed in time"
        time.sleep(0.1)
