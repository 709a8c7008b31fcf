"""A cluster of three PostgreSQL under Patroni and etcd, in strict synchronous mode.

The programs are the distribution's. Nodes reach each other and etcd by links that can fall silent;
services reach the nodes directly.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Self

from faults.node import AS_NOBODY, AWAY, DATABASE, LEADS, SUPERUSER, Node
from faults.service import NotReady, free_port
from tally.embedded.accounts import NOBODY

NODES: Final = 3
# On a busy machine: to start the first node, to copy it, and to come back from any fault.
_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.1
_STREAMING: Final = """
    SELECT count(*) = 2 AND bool_or(sync_state = 'sync') FROM pg_stat_replication
     WHERE state = 'streaming' AND application_name LIKE 'node-%'
"""


class NoCluster(Exception):
    """No cluster can be made here; the message says why, and the remedy."""


def programs() -> Path:
    """Find the folder of PostgreSQL's programs; raises NoCluster if any program is missing."""
    missing = [name for name in ("patroni", "etcd") if shutil.which(name) is None]
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    missing += [] if found else ["postgres"]
    if missing:
        raise NoCluster(
            f"{', '.join(missing)} not installed: apt install patroni etcd-server postgresql"
        )
    return found[-1].parent


class Cluster:
    """Three nodes and an etcd, in a folder that other users may enter; with logs in another."""

    def __init__(self, folder: Path, logs: Path) -> None:
        """Nothing starts yet; raises NoCluster."""
        binaries = programs()
        self._folder = folder
        self._logs = logs
        self._etcd_ports = free_port(), free_port()
        self._etcd: asyncio.subprocess.Process | None = None
        self.nodes = [
            Node(name, folder / name, logs / f"{name}.log", binaries, self._etcd_ports[0])
            for name in (f"node-{number}" for number in range(1, NODES + 1))
        ]

    def url(self, user: str, session: str, ports: Iterable[int] = ()) -> str:
        """The database on all nodes, for a user whose sessions need this attribute.

        `ports` lead to the nodes in their order; without, they are reached directly.
        """
        ports = ports or [node.port for node in self.nodes]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://{user}@{hosts}/{DATABASE}?target_session_attrs={session}"

    @property
    def admin_url(self) -> str:
        return self.url(SUPERUSER, "primary")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Start everything with an empty database, and end everything; raises NotReady."""
        async with AsyncExitStack() as started:
            started.push_async_callback(self._stop_etcd)
            await self._start_etcd()
            for node in self.nodes:
                started.push_async_callback(node.close)
                await node.prepare()
            first, *others = self.nodes
            await first.start()
            await self._until("a first leader", lambda: _leads(first))
            await asyncio.gather(*(node.start() for node in others))
            leader, *_ = await self.whole()
            await leader.fetchrow(f"CREATE DATABASE {DATABASE}")
            yield self

    async def whole(self) -> list[Node]:
        """Wait until one leads and both others follow; raises NotReady.

        Gives the leader, the standby that its commits wait for, and the other.
        """
        found: list[Node] = []

        async def stands() -> bool:
            found[:] = await self._in_order()
            return bool(found)

        await self._until("a leader that two follow", stands)
        return found

    async def _in_order(self) -> list[Node]:
        """List the nodes as `whole` does; none while one does not answer, or two lead."""
        leads = await asyncio.gather(*(_leads_now(node) for node in self.nodes))
        if sorted(leads, key=str) != [False, False, True]:
            return []
        leader = self.nodes[leads.index(True)]
        try:
            streaming = (await leader.fetchrow(_STREAMING))[0]
            # Patroni promotes only whom it has noted in etcd, which it does later.
            members = (await leader.request("GET", "/cluster")).json()["members"]
        except AWAY:
            return []
        noted = [member["name"] for member in members if member["role"] == "sync_standby"]
        standbys = [node for node in self.nodes if node is not leader]
        standbys.sort(key=lambda node: node.name not in noted)
        return [leader, *standbys] if streaming and noted else []

    @contextmanager
    def without_etcd(self) -> Iterator[None]:
        """Stop etcd for the block: nobody's key is renewed."""
        if self._etcd is None:
            raise NotReady("etcd was not started")
        self._etcd.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._etcd.send_signal(signal.SIGCONT)

    async def _start_etcd(self) -> None:
        folder = self._folder / "etcd"
        folder.mkdir()
        if AS_NOBODY:
            os.chown(folder, NOBODY.uid, NOBODY.gid)
        clients, peers = (f"http://127.0.0.1:{port}" for port in self._etcd_ports)
        with (self._logs / "etcd.log").open("wb") as log:
            self._etcd = await asyncio.create_subprocess_exec(
                *("etcd", "--enable-v2", "--data-dir", str(folder / "data")),
                *("--listen-client-urls", clients, "--advertise-client-urls", clients),
                *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
                *("--initial-cluster", f"default={peers}"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **AS_NOBODY,
            )

    async def _stop_etcd(self) -> None:
        if self._etcd is not None and self._etcd.returncode is None:
            self._etcd.kill()
            await self._etcd.wait()

    async def _until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                while not await holds():  # noqa: ASYNC110 - it can only be asked
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise NotReady(f"the cluster has not {what}; see {self._logs}/node-*.log") from None


async def _leads_now(node: Node) -> bool | None:
    """Ask a node whether it accepts writes; None where it does not answer."""
    try:
        leads: bool = (await node.fetchrow(LEADS))[0]
    except AWAY:
        return None
    return leads


async def _leads(node: Node) -> bool:
    return await _leads_now(node) is True


async def receiver(node: Node) -> int:
    """Find the process that receives what a standby replays; raises OSError if there is none."""
    row = await node.fetchrow("SELECT pid FROM pg_stat_wal_receiver WHERE pid IS NOT NULL")
    if row is None:
        raise OSError(f"{node.name} receives nothing")
    pid: int = row["pid"]
    return pid
