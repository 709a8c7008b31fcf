"""The database as adders reach it: a leader, its standby, and leaders that were and don't know."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from simulation.backend import Backend
from simulation.connection import Connection
from simulation.functions import Functions
from simulation.server import Server, Trace
from simulation.standby import Record
from simulation.state import TOTAL, Key

# Which statements a disturbance waits for; the empty name is in every one.
STATEMENTS: Final = ("add_batch", "settle_batch", "recall", "register_writer", "")


class Disturbance:
    """What happens to a user's next statement of a kind when it reaches a moment."""

    def __init__(self, user: str, statement: str, moment: str, act: Callable[..., None]) -> None:
        self.user = user
        self.statement = statement
        self.moment = moment
        self.act = act


class Cluster:
    """Of `leader` the standby's rows are what survives any failover."""

    def __init__(self, functions: Functions, random: Random | None, trace: Trace) -> None:
        """Without `random` every message takes the same time."""
        self._functions = functions
        self._random = random
        self._trace = trace
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._closed_until = 0.0
        self._cut_until: dict[str, float] = {}
        self._connections: list[tuple[Backend, Connection]] = []
        self.disturbances: list[Disturbance] = []
        self.restored_at = -1.0
        """When a backup was last restored."""
        self.most_sessions: dict[str, int] = {}
        self.tries = 0
        self.leader = self._serve([])
        self.old_leaders: list[Server] = []

    def delay(self) -> float:
        """Draw how long a message takes, in seconds: mostly a millisecond, sometimes much more."""
        if self._random is None:
            return 0.001
        return 0.0005 / (1 - self._random.random()) ** 0.5

    async def connect(
        self,
        url: str,
        *,
        timeout: float,  # noqa: ASYNC109 - asyncpg's own
        server_settings: dict[str, str],
        **_: object,
    ) -> Connection:
        """As asyncpg.connect: take any server that is a primary."""
        user = parse_qs(urlsplit(url).query)["user"][0]
        self.tries += 1
        await asyncio.sleep(self.delay())
        server = self._choose()
        if self._is_cut(user) or server.stopped_until > self._now():
            await asyncio.sleep(timeout)
            raise TimeoutError
        if self._now() < self._closed_until:
            raise ConnectionRefusedError("connection refused")
        backend = Backend(server, user, server_settings["application_name"])
        server.backends.append(backend)
        connection = Connection(backend, self.delay)
        self._connections = [one for one in self._connections if one[0].alive]
        self._connections.append((backend, connection))
        sessions = server.sessions()[user]
        self.most_sessions[user] = max(self.most_sessions.get(user, 0), sessions)
        return connection

    def _choose(self) -> Server:
        servers = [self.leader, *self.old_leaders]
        if len(servers) == 1 or self._random is None:
            return self.leader
        return self._random.choice(servers)

    def _is_cut(self, user: str) -> bool:
        return self._now() < self._cut_until.get(user, 0.0)

    def _serve(self, log: list[Record]) -> Server:
        return Server(self._functions, log, self.delay, self._reached, self._trace)

    def _reached(self, backend: Backend, moment: str) -> None:
        for disturbance in self.disturbances:
            if (
                disturbance.user == backend.user
                and disturbance.moment == moment
                and disturbance.statement in backend.query
            ):
                self.disturbances.remove(disturbance)
                self._trace("disturbed", backend.user, moment, backend.query)
                disturbance.act(backend, self._connection_of(backend))
                return

    def _connection_of(self, backend: Backend) -> Connection | None:
        return next((one[1] for one in self._connections if one[0] is backend), None)

    # What survives

    def durable(self, key: Key) -> Any:
        return self.leader.standby.rows.get(key)

    # What happens to it

    def close_for(self, seconds: float) -> None:
        """Refuse new connections for a while."""
        self._closed_until = max(self._closed_until, self._now() + seconds)

    def cut(self, user: str, seconds: float) -> None:
        """Let the network carry nothing of a user's: connections fall silent for good."""
        self._cut_until[user] = self._now() + seconds
        for backend, connection in self._connections:
            if backend.user == user:
                connection.fall_silent()

    def restart(self, seconds: float) -> None:
        self.close_for(seconds)
        self.leader.restart()

    def fail_over(self, seconds: float, *, old: str, demoted_after: float) -> None:
        """Make a leader of the standby; the old one is `killed`, `stopped` or goes `on` a while."""
        was = self.leader
        was.standby.stall()
        self.leader = self._serve(was.log[: was.standby.received])
        self.close_for(seconds)
        if old == "killed":
            was.crash()
            return
        if old == "stopped":
            was.stopped_until = max(was.stopped_until, self._now() + demoted_after / 2)
        self.old_leaders.append(was)
        self._loop.call_later(demoted_after, self._demote, was)

    def _demote(self, server: Server) -> None:
        if server in self.old_leaders:
            self.old_leaders.remove(server)
            server.crash()

    def restore(self, seconds: float, share: float) -> None:
        """Replace it all by a backup that has this share of what was durable."""
        kept = int(self.leader.standby.received * share)
        for server in (self.leader, *self.old_leaders):
            server.crash()
        self.old_leaders.clear()
        self.leader = self._serve(self.leader.log[:kept])
        self.restored_at = self._now()
        self.close_for(seconds)

    async def hold_total(self, seconds: float, user: str) -> None:
        """Keep the total locked in a transaction that does nothing else."""
        backend = Backend(self.leader, user, "holds the total")
        self.leader.backends.append(backend)
        try:
            await backend.run("BEGIN", ())
            if backend.transaction is not None:
                self._loop.call_later(seconds, backend.end)
                await backend.transaction.lock(TOTAL)
        except asyncpg.PostgresError:
            backend.end()

    def heal(self) -> None:
        """End everything that goes on."""
        self._closed_until = 0.0
        self._cut_until.clear()
        self.disturbances.clear()
        for server in list(self.old_leaders):
            self._demote(server)
        self.leader.standby.go_on()
