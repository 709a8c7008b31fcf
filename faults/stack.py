"""The processes under test, each kept running as a service manager would keep it."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from faults.httpclient import Address, Connection, NoAnswer, NotSent, encode
from faults.proxy import Proxy
from tally.embedded import postgres

ADDERS: Final = 3
DISPLAYS: Final = 2
# systemd's own pause before it restarts a service, and between two looks at PostgreSQL.
_RESTART_SECONDS: Final = 0.1
# What a service may take to stop (README), and to be ready on a busy machine.
STOP_SECONDS: Final = 10.0
_READY_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02
_SERVE: Final = (sys.executable, "-m", "tally", "serve")
# Below every system's range for outgoing connections: of those there will be thousands, and none
# may take the port of a service that is being restarted.
_PORTS: Final = range(20_000, 30_000)


class NotReady(Exception):
    """A process did not come up; the message says which."""


class Postgres:
    """The embedded server, started again whenever it ends."""

    def __init__(self, folder: Path, notice: Callable[[str], None]) -> None:
        """Keep data in this folder; `notice` gets a line where a start fails."""
        self._folder = folder
        self._notice = notice
        self._server: postgres.Server | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self.starts = 0

    async def start(self) -> None:
        """Start it and keep it running; raises EmbeddedError."""
        await self._start()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop it for good; may be repeated."""
        self._stopping = True
        if self._keeper is not None:
            await self._keeper
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    @property
    def server(self) -> postgres.Server:
        """The server that runs, or ran last."""
        if self._server is None:
            raise NotReady("PostgreSQL was not started")
        return self._server

    @property
    def socket(self) -> Path:
        """The socket it listens on."""
        query = parse_qs(urlsplit(self.server.admin_url).query)
        return Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"

    async def wait_until_started_again(self, starts: int, seconds: float) -> None:
        """Wait until there were more starts than `starts`; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while self.starts <= starts:  # noqa: ASYNC110 - counted once in minutes
                await asyncio.sleep(_POLL_SECONDS)

    async def _start(self) -> None:
        self._server = await asyncio.to_thread(postgres.start, self._folder, self._notice)
        self.starts += 1

    async def _keep(self) -> None:
        while not self._stopping:
            await asyncio.sleep(_POLL_SECONDS)
            if self.server.alive:
                continue
            try:
                await asyncio.to_thread(self.server.stop)  # lets go of the folder
                await self._start()
            except postgres.EmbeddedError as error:
                self._notice(str(error))
                await asyncio.sleep(_RESTART_SECONDS)


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process: its status (negative: the signal that killed it), and if we asked."""

    status: int
    asked: bool


class Service:
    """One `tally serve`, restarted at once when it ends."""

    def __init__(self, name: str, command: Sequence[str], url: str, log: Path) -> None:
        """`name` is the service's and a number, as in `adder-1`; `url` is its database's.

        `command` starts it, followed by the service's name and the port.
        """
        self.name = name
        self.kind = name.partition("-")[0]
        self.address = Address(name, free_port())
        self.exits: list[Exit] = []
        self._exited = asyncio.Condition()
        self._command = command
        self._url = url
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._asked: int | None = None  # the process that was last asked to end
        self._stopping = False

    async def start(self) -> None:
        """Start it, keep it running, and wait until it is ready; raises NotReady."""
        self._log.unlink(missing_ok=True)  # an earlier run's
        await self._start()
        self._keeper = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._is_ready():  # noqa: ASYNC110 - it can only be asked
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise NotReady(f"{self.name} did not get ready; see {self._log}") from None

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        if self._process is None:
            raise NotReady(f"{self.name} was not started")
        return self._process.pid

    async def end(self, number: signal.Signals) -> Exit:
        """End it by a signal and wait; it is restarted. Raises TimeoutError if it lives on."""
        exits = len(self.exits)
        self._asked = self.pid
        os.kill(self.pid, number)
        # Twice what is allowed, so that what takes too long can be told how long it took.
        async with asyncio.timeout(2 * STOP_SECONDS), self._exited:
            await self._exited.wait_for(lambda: len(self.exits) > exits)
        return self.exits[exits]

    async def stop(self) -> None:
        """End it for good, by force if need be; may be repeated."""
        self._stopping = True
        if self._keeper is None or self._process is None:
            return
        if self._process.returncode is None:
            self._asked = self.pid
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._keeper], timeout=STOP_SECONDS)
        if not done:
            self._process.kill()
        await self._keeper

    async def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*self._command, self.kind, "--port", str(self.address.port)),
                env=_environment(self._url) | {"TALLY_LOG": "json"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for the rig, which then ends us
            )

    async def _keep(self) -> None:
        while self._process is not None:
            process = self._process
            status = await process.wait()
            async with self._exited:
                self.exits.append(Exit(status, asked=self._asked == process.pid))
                self._exited.notify_all()
            await asyncio.sleep(_RESTART_SECONDS)
            if self._stopping:
                return
            await self._start()

    async def _is_ready(self) -> bool:
        connection = Connection(self.address)
        try:
            answer = await connection.request(encode("GET", f"/{self.kind}_service/readyz"))
        except (NotSent, NoAnswer):
            return False
        finally:
            connection.close()
        return answer.status == 200


class Stack:
    """Everything that runs: PostgreSQL, its proxies, and the services."""

    def __init__(
        self,
        data: Path,
        logs: Path,
        notice: Callable[[str], None],
        *,
        serve: Sequence[str] = _SERVE,
        alterations: Sequence[str] = (),
    ) -> None:
        """Keep the database in `data` and a log for each service in `logs`.

        `serve` starts a service, followed by its name and port. `alterations` are statements that
        change the ledger's schema after it was migrated. With both the judge is shown bugs.
        """
        self.postgres = Postgres(data, notice)
        self.proxies: list[Proxy] = []
        self.adders: list[Service] = []
        self.displays: list[Service] = []
        self.resets: list[Service] = []
        self._logs = logs
        self._serve = serve
        self._alterations = alterations

    @property
    def services(self) -> list[Service]:
        """All service processes."""
        return [*self.adders, *self.displays, *self.resets]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything, and end everything however the block ends.

        Raises EmbeddedError or NotReady.
        """
        async with AsyncExitStack() as started:
            started.push_async_callback(self.postgres.stop)
            await self.postgres.start()
            status, output = await self.tally("migrate")
            if status != 0:
                raise NotReady(f"tally migrate: {output}")
            await self._alter()
            for number in range(1, ADDERS + 1):
                proxy = Proxy(self.postgres.socket)
                await proxy.start(free_port())
                started.push_async_callback(proxy.close)
                self.proxies.append(proxy)
                url = f"postgresql://tally_adder@127.0.0.1:{proxy.port}/{postgres.DATABASE}"
                self.adders.append(self._service(f"adder-{number}", url))
            url = self.postgres.server.url("tally_display")
            self.displays += [
                self._service(f"display-{number}", url) for number in range(1, DISPLAYS + 1)
            ]
            self.resets.append(self._service("reset-1", self.postgres.server.url("tally_reset")))
            started.push_async_callback(self._stop_services)
            await asyncio.gather(*(service.start() for service in self.services))
            yield

    async def tally(self, *arguments: str) -> tuple[int, str]:
        """Run a command on the database as its owner; see `run_tally`."""
        return await run_tally(self.postgres.server.admin_url, *arguments)

    async def _alter(self) -> None:
        connection: Any = await asyncpg.connect(self.postgres.server.admin_url)
        try:
            for statement in self._alterations:
                await connection.execute(statement)
        finally:
            await connection.close()

    def _service(self, name: str, url: str) -> Service:
        return Service(name, self._serve, url, self._logs / f"{name}.log")

    async def _stop_services(self) -> None:
        await asyncio.gather(*(service.stop() for service in self.services))


async def run_tally(url: str, *arguments: str) -> tuple[int, str]:
    """Run a command of `tally` on a database; return exit status and all that it said.

    Raises TimeoutError where it does not end.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tally", *arguments),
        env=_environment(url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace").strip()


def _environment(url: str) -> dict[str, str]:
    """This process's own, with Tally's defaults for all but the database."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("TALLY_")}
    return plain | {"TALLY_DATABASE_URL": url}


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NotReady("no port is free")
