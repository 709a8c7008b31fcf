"""One node of the cluster: a PostgreSQL, and the Patroni that starts and leads it."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from faults.link import Link
from faults.service import free_port
from tally.embedded.accounts import NOBODY

# Seconds. A leader's key is good for `ttl` unless renewed, each renews it and looks every
# `loop_wait`; their sum with two tries fits into `ttl`, as Patroni's documentation asks. Shorter
# than Patroni's own 30, 10 and 10, so that a run sees many failovers.
TIMINGS: Final = {"ttl": 10, "loop_wait": 2, "retry_timeout": 3}
SUPERUSER: Final = "postgres"
DATABASE: Final = "tally"
# Of a node that does not answer, or not as a running server would.
AWAY: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What a query meets on a connection that was ended while idle.
    asyncpg.InternalClientError,
)
LEADS: Final = "SELECT NOT pg_is_in_recovery()"
_PARAMETERS: Final = {
    "max_connections": 60,
    # A dead network is noticed within seconds, by either end of the replication.
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
    "wal_receiver_status_interval": "1s",
    # Small, for a cluster that lives for minutes.
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
}
_STOP_SECONDS: Final = 20.0
_REST_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
# PostgreSQL refuses to run as root, and initdb needs a user with a name.
AS_NOBODY: Final[dict[str, Any]] = (
    {"user": NOBODY.uid, "group": NOBODY.gid, "extra_groups": []} if os.geteuid() == 0 else {}
)


class Node:
    """A node, which services reach at its port.

    `replication` and `rest` are how other nodes reach it, `etcd` is how it reaches etcd.
    """

    def __init__(self, name: str, folder: Path, log: Path, binaries: Path, etcd_port: int) -> None:
        """Use a folder that is not there yet, and PostgreSQL's programs; nothing starts."""
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.patroni: asyncio.subprocess.Process | None = None
        self._log = log
        self._rest_port = free_port()
        self.replication = Link(self.port)
        self.rest = Link(self._rest_port)
        self.etcd = Link(etcd_port)
        self._links = (self.replication, self.rest, self.etcd)
        self._binaries = binaries

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{self.port}"

    @property
    def url(self) -> str:
        """The node's own database, for its superuser."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/postgres"

    async def prepare(self) -> None:
        """Make the folder and open the links."""
        self.folder.mkdir()
        if AS_NOBODY:
            os.chown(self.folder, NOBODY.uid, NOBODY.gid)
        for link in self._links:
            await link.start()
        self._file.write_text(json.dumps(self._configuration()))

    async def start(self) -> None:
        """Start Patroni, which starts PostgreSQL."""
        with self._log.open("ab") as log:
            self.patroni = await asyncio.create_subprocess_exec(
                *("patroni", str(self._file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env=os.environ | {"HOME": str(self.folder)},
                **AS_NOBODY,
            )

    async def kill(self) -> None:
        """End all of it at once, as a machine that loses power, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        if self.patroni is not None:
            await self.patroni.wait()
        async with asyncio.timeout(_STOP_SECONDS):
            while self._server() is not None:  # noqa: ASYNC110 - not our child, so nobody tells us
                await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """End it for good."""
        await self.kill()
        for link in self._links:
            await link.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its processes, for the block."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _processes(self) -> Iterator[int]:
        """Patroni, PostgreSQL, and its children: parents first, which then make no more."""
        if self.patroni is not None and self.patroni.returncode is None:
            yield self.patroni.pid
        server = self._server()
        if server is not None:
            yield server
            yield from _children(server)

    def _server(self) -> int | None:
        """Find PostgreSQL's main process, if it runs."""
        try:
            pid = int((self.folder / "data" / "postmaster.pid").read_text().partition("\n")[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.folder).encode() in command else None

    async def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask Patroni by its REST API; raises OSError where it gives no good answer."""
        try:
            async with httpx.AsyncClient(timeout=_REST_SECONDS, trust_env=False) as client:
                answer = await client.request(
                    method, f"http://127.0.0.1:{self._rest_port}{path}", json=body
                )
        except httpx.HTTPError as error:
            raise OSError(f"{self.name}: {error!r}") from error
        if answer.is_error:
            raise OSError(f"{self.name}: {answer.status_code} {answer.text}")
        return answer

    async def fetchrow(self, query: str, *given: object) -> Any:  # noqa: ANN401 - asyncpg is untyped
        """Run a query as superuser, in a database that is not Tally's; give its first row."""
        connection = await asyncpg.connect(self.url, timeout=_LOOK_SECONDS)
        try:
            return await connection.fetchrow(query, *given, timeout=_LOOK_SECONDS)
        finally:
            connection.terminate()

    @property
    def _file(self) -> Path:
        return self.folder.with_suffix(".json")

    def _configuration(self) -> dict[str, Any]:
        """Write what Patroni reads: its YAML has JSON within it."""
        login = {"sslmode": "disable", "gssencmode": "disable"}
        return {
            "scope": "tally",
            "name": self.name,
            "etcd": {"hosts": [self.etcd.address], "use_proxies": True},
            "restapi": {
                "listen": f"127.0.0.1:{self._rest_port}",
                "connect_address": self.rest.address,
            },
            "bootstrap": {
                "dcs": {
                    **TIMINGS,
                    "synchronous_mode": True,
                    "synchronous_mode_strict": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": _PARAMETERS},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": self.replication.address,
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(self._binaries),
                "pgpass": str(self.folder / "pgpass"),
                "use_unix_socket": True,
                "authentication": {
                    "superuser": {"username": SUPERUSER, **login},
                    "replication": {"username": SUPERUSER, **login},
                },
                "parameters": {"unix_socket_directories": str(self.folder)},
                "pg_hba": [
                    "local all all trust",
                    "host all all 127.0.0.1/32 trust",
                    "host replication all 127.0.0.1/32 trust",
                ],
            },
        }


def _children(parent: int) -> list[int]:
    """List the processes whose parent this is, by proc_pid_stat(5)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before the last parenthesis may hold anything.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found
