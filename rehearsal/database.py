"""The database: PostgreSQL in the interfaces that AWS lists for it, a primary and a standby.

RDS copies what is written to another zone, below PostgreSQL, before a commit is answered (RDS's
user guide, "Multi-AZ DB instance deployments"). Here PostgreSQL itself does so, out of the
customer's sight as well: over a local socket, and not over the network.
"""

import os
import subprocess
from pathlib import Path

from rehearsal.found import Found, Host
from rehearsal.network import Network
from rehearsal.process import end, start
from tests.support.distribution_postgres import AS_NOBODY, NOBODY, installed, until_ready
from tests.support.managed_postgres import Certificates
from tests.support.postgres import execute

_HERE = "local all postgres trust\nlocal replication postgres trust\n"


class Server:
    """One PostgreSQL, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
        self.folder, self.data = folder, folder / "data"
        self._programs = installed()[-1]

    def initialize(self, source: "Server | None" = None) -> None:
        """Make an empty one, or copy another's."""
        if source is None:
            options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
            self._run("initdb", "-D", self.data, *options)
        else:
            at_once = ("--checkpoint=fast", "-R")
            self._run(
                "pg_basebackup", "-U", "postgres", "-h", source.folder, *at_once, "-D", self.data
            )

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [self._programs / program, *map(str, arguments)],
            check=True,
            capture_output=True,
            cwd="/",
            **AS_NOBODY,
        )

    def start(self, network: Network, host: Host, port: int, **settings: object) -> None:
        """Serve on a host of the network; return once it takes connections."""
        settings = {
            "listen_addresses": host.address,
            "port": port,
            "unix_socket_directories": self.folder,
            **settings,
        }
        log = self.folder / "postgres.log"
        with log.open("w") as output:
            self._process = start(
                *(self._programs / "postgres", "-D", self.data),
                *(f"--{name}={value}" for name, value in settings.items()),
                network=network.hosts[host],
                user=NOBODY,
                cwd="/",
                stderr=output,
            )
        until_ready(self._process, log.read_text)

    def close(self) -> None:
        end(self._process)


class Database:
    """What stands behind the name that clients connect to."""

    def __init__(
        self, found: Found, network: Network, folder: Path, certificates: Certificates
    ) -> None:
        described = found.aws.rds.database
        self.name, self.port = described["DBName"], described["Endpoint"]["Port"]
        # A file such as /etc/hosts, in which the endpoint's name leads to the primary.
        self.names = folder / "names"
        self._endpoint = described["Endpoint"]["Address"]
        tls = {
            "ssl": "on",
            "ssl_cert_file": certificates.certificate,
            "ssl_key_file": certificates.key,
        }
        self.servers: dict[Host, Server] = {}
        try:
            self.primary, *others = found.databases
            primary = self.servers[self.primary] = Server(folder / "primary")
            primary.initialize()
            kind = "hostssl" if found.aws.rds.parameters.get("rds.force_ssl") == "1" else "host"
            rules = f"{_HERE}{kind} all all 0.0.0.0/0 scram-sha-256\n"
            (primary.data / "pg_hba.conf").write_text(rules)
            primary.start(network, self.primary, self.port, **tls)
            self._point()
            self._prepare(found)
            for number, host in enumerate(others):
                standby = self.servers[host] = Server(folder / f"standby{number}")
                standby.initialize(primary)
                standby.start(network, host, self.port, **tls)
            if others:
                execute(self._url(), "ALTER SYSTEM SET synchronous_standby_names = '*'")
                execute(self._url(), "SELECT pg_reload_conf()")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for it in self.servers.values():
            it.close()

    def _point(self) -> None:
        # In place: whoever has the file sees it.
        self.names.write_text(f"127.0.0.1 localhost\n{self.primary.address} {self._endpoint}\n")

    def lose(self, zone: str) -> None:
        """End what is in a zone; the standby takes over if the primary was."""
        for host in [it for it in self.servers if it.zone == zone]:
            self.servers.pop(host).close()
        if self.primary in self.servers:
            # RDS goes on without its standby until it has made another.
            execute(self._url(), "ALTER SYSTEM RESET synchronous_standby_names")
            execute(self._url(), "SELECT pg_reload_conf()")
        else:
            [self.primary] = self.servers
            execute(self._url(), "SELECT pg_promote()")
            self._point()

    def _url(self, database: str = "postgres") -> str:
        folder = self.servers[self.primary].folder
        return f"postgresql://postgres@/{database}?host={folder}&port={self.port}"

    @property
    def admin_url(self) -> str:
        """The superuser's, who is AWS's and nobody's that deploys."""
        return self._url(self.name)

    def _prepare(self, found: Found) -> None:
        """The database and its owner, with the password that RDS keeps in a secret."""
        described = found.aws.rds.database
        owner = described["MasterUsername"]
        password = found.secret(described["MasterUserSecret"]["SecretArn"], "password")
        quoted = password.replace("'", "''")
        execute(self._url(), f"CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB PASSWORD '{quoted}'")
        execute(self._url(), f"CREATE DATABASE {self.name} OWNER {owner}")
