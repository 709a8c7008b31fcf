"""A PostgreSQL as a cloud gives one: by TCP with TLS, a password for each role."""

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.distribution_postgres import NOBODY, installed, until_ready
from tests.support.postgres import execute

_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@dataclass(frozen=True)
class Certificates:
    """Files of PEM: an authority, and what it issued for a server."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def issue(cls, folder: Path, *names: str) -> "Certificates":
        authority = trustme.CA()
        issued = authority.issue_cert(*names)
        made = cls(*(folder / f"{name}.pem" for name in ("authority", "certificate", "key")))
        authority.cert_pem.write_to_path(made.authority)
        issued.cert_chain_pems[0].write_to_path(made.certificate)
        issued.private_key_pem.write_to_path(made.key)
        made.key.chmod(0o600)
        os.chown(made.key, NOBODY, NOBODY)
        return made


@dataclass(frozen=True)
class ManagedPostgres:
    """The superuser takes `admin_url`, a local socket; others need TLS and their password."""

    admin_url: str
    authority: Path
    address: str
    port: int

    def set_password(self, role: str) -> str:
        password = secrets.token_urlsafe()
        execute(self.admin_url, f"ALTER ROLE {role} PASSWORD '{password}'")
        return password


@contextlib.contextmanager
def managed_postgres(
    folder: Path,
    certificates: Certificates,
    address: str,
    port: int = 5432,
    *,
    enter: Callable[..., list[str]] = lambda *command: [*command],
) -> Iterator[ManagedPostgres]:
    """Run it with a database `tally`; `enter` gives the command that runs one in its network."""
    programs = installed()[-1]
    os.chown(folder, NOBODY, NOBODY)
    data, log = folder / "data", folder / "postgres.log"
    subprocess.run(
        [
            *(*_AS_NOBODY, programs / "initdb", "-D", data),
            *("-U", "postgres", "-A", "trust", "-E", "UTF8"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    (data / "pg_hba.conf").write_text(
        "local all postgres trust\nhostssl all all 0.0.0.0/0 scram-sha-256\n"
    )
    settings = {
        "listen_addresses": address,
        "port": port,
        "unix_socket_directories": folder,
        "ssl": "on",
        "ssl_cert_file": certificates.certificate,
        "ssl_key_file": certificates.key,
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = enter(*_AS_NOBODY, str(programs / "postgres"), "-D", str(data), *options)
    with log.open("w") as output, subprocess.Popen(command, stderr=output, cwd="/") as server:
        try:
            until_ready(server, log.read_text)
            here = f"?host={folder}&port={port}"
            execute(f"postgresql://postgres@/postgres{here}", "CREATE DATABASE tally")
            admin_url = f"postgresql://postgres@/tally{here}"
            yield ManagedPostgres(admin_url, certificates.authority, address, port)
        finally:
            # To PostgreSQL: end now, whoever is connected.
            server.send_signal(signal.SIGINT)
