"""The system under test: PostgreSQL, a proxy for each adder, and the services."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from faults.history import Command
from faults.proxy import Proxy
from faults.recorder import Recorder
from faults.service import NotReady, Service, environment, free_port
from tally.embedded import postgres
from tally.embedded.supervisor import Supervisor

ADDERS: Final = 3
DISPLAYS: Final = 2
_COMMAND_SECONDS: Final = 120.0
SERVE: Final = (sys.executable, "-m", "tally", "serve")


class System:
    """Three adders, two displays and a reset service."""

    postgres: Supervisor

    def __init__(
        self,
        data: Path,
        logs: Path,
        notice: Callable[[str], None],
        recorder: Recorder,
        *,
        serve: Sequence[str] = SERVE,
        alterations: Sequence[str] = (),
    ) -> None:
        """Keep the database in `data` and a log for each service in `logs`.

        `serve` starts a service, followed by its name and port. `alterations` are statements that
        change the ledger's schema after it was migrated. With both, bugs are planted.
        """
        self.proxies: list[Proxy] = []
        self.adders: list[Service] = []
        self.displays: list[Service] = []
        self._data = data
        self._logs = logs
        self._notice = notice
        self._recorder = recorder
        self._serve = serve
        self._alterations = alterations

    @property
    def services(self) -> list[Service]:
        return [*self.adders, *self.displays, self.reset]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything, and end everything however the block ends.

        Raises EmbeddedError or NotReady.
        """
        async with AsyncExitStack() as started:
            urls = await self._start_database(started)
            migrated = await self.tally("migrate")
            if migrated.status != 0:
                raise NotReady(f"tally migrate: {migrated.output}")
            await self._alter()
            services = {name: self._service(name, url) for name, url in urls.items()}
            self.adders += [services[f"adder-{number}"] for number in range(1, ADDERS + 1)]
            self.displays += [services[f"display-{number}"] for number in range(1, DISPLAYS + 1)]
            self.reset = services["reset-1"]
            started.push_async_callback(self._stop_services)
            await asyncio.gather(*(service.start() for service in self.services))
            yield

    @property
    def admin_url(self) -> str:
        """The database, for its owner."""
        return self.postgres.server.admin_url

    async def whole(self) -> bool:
        """Wait until no part of the database is missing; tell whether it has parts."""
        return False

    async def tally(self, name: str) -> Command:
        """Run a command on the database as its owner; see `run_tally`."""
        return await run_tally(self.admin_url, name, self._recorder)

    async def _start_database(self, started: AsyncExitStack) -> dict[str, str]:
        """Start the database and what stands before it; give each service's URL by its name."""
        self.postgres = await asyncio.to_thread(Supervisor, self._data, self._notice)
        started.push_async_callback(asyncio.to_thread, self.postgres.stop)
        server = self.postgres.server
        urls = {"reset-1": server.url("tally_reset")}
        for number in range(1, DISPLAYS + 1):
            urls[f"display-{number}"] = server.url("tally_display")
        for number in range(1, ADDERS + 1):
            port = await self._start_proxy(started, _socket(server))
            urls[f"adder-{number}"] = (
                f"postgresql://tally_adder@127.0.0.1:{port}/{postgres.DATABASE}"
            )
        return urls

    async def _start_proxy(self, started: AsyncExitStack, socket: Path) -> int:
        """Start a proxy for PostgreSQL's socket; give its port."""
        proxy = Proxy(socket)
        await proxy.start(free_port())
        started.push_async_callback(proxy.close)
        self.proxies.append(proxy)
        return proxy.port

    async def _alter(self) -> None:
        connection: Any = await asyncpg.connect(self.admin_url)
        try:
            for statement in self._alterations:
                await connection.execute(statement)
        finally:
            await connection.close()

    def _service(self, name: str, url: str) -> Service:
        log = self._logs / f"{name}.log"
        return Service(name, self._serve, url, log, self._recorder.record)

    async def _stop_services(self) -> None:
        await asyncio.gather(*(service.stop() for service in self.services))


def _socket(server: postgres.Server) -> Path:
    query = parse_qs(urlsplit(server.admin_url).query)
    return Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"


async def run_tally(url: str, name: str, recorder: Recorder) -> Command:
    """Run a command of `tally` on a database and record it.

    Raises TimeoutError where it does not end.
    """
    sent = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tally", name),
        env=environment(url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    output = printed.decode(errors="replace").strip()
    command = Command(name, sent, time.monotonic(), process.returncode or 0, output)
    recorder.record(command)
    return command
