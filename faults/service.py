"""One process of a service, started again as a service manager would."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from faults.history import Exit, Start
from faults.httpclient import Address, Connection, NoAnswer, NotSent, encode

# What a service may take to stop (README), and to be ready on a busy machine.
STOP_SECONDS: Final = 10.0
_READY_SECONDS: Final = 60.0
# Enough for the 2,000 idle connections that a fault opens to each, and the run's own clients; and
# few enough that a fault can take them all.
MAX_CONNECTIONS: Final = 2_500
MAX_VIEWERS: Final = 500
# systemd's own pause before it restarts a service.
_RESTART_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.02
# Below every system's range for outgoing connections: of those there will be thousands, and none
# may take the port of a service that is being restarted.
_PORTS: Final = range(20_000, 30_000)
_given: Final[set[int]] = set()


class NotReady(Exception):
    """A process did not come up; the message says which."""


class Service:
    """One `tally serve`, restarted at once when it ends."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        url: str,
        log: Path,
        record: Callable[[Start | Exit], None],
    ) -> None:
        """`name` is the service's and a number, as in `adder-1`; `url` is its database's.

        `command` starts it, followed by the service's name and the port. `record` gets each start
        and exit.
        """
        self.name = name
        self.kind = name.partition("-")[0]
        self.address = Address(name, free_port())
        self._exits: list[Exit] = []
        self._exited = asyncio.Condition()
        self._command = command
        self._url = url
        self._log = log
        self._record = record
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        # The signal last sent to each process by its id, and when.
        self._sent: dict[int, tuple[int, float]] = {}
        self._stopping = False

    async def start(self) -> None:
        """Start it, keep it running, and wait until it is ready; raises NotReady."""
        self._log.unlink(missing_ok=True)  # an earlier run's
        await self._start()
        self._supervisor = asyncio.create_task(self._supervise())
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
        exits = len(self._exits)
        self._sent[self.pid] = number, time.monotonic()
        os.kill(self.pid, number)
        # Twice what is allowed, so that what takes too long can be told how long it took.
        async with asyncio.timeout(2 * STOP_SECONDS), self._exited:
            await self._exited.wait_for(lambda: len(self._exits) > exits)
        return self._exits[exits]

    async def stop(self) -> None:
        """End it for good, by force if need be; may be repeated."""
        self._stopping = True
        if self._supervisor is None or self._process is None:
            return
        if self._process.returncode is None:
            self._sent[self.pid] = signal.SIGTERM, time.monotonic()
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._supervisor], timeout=STOP_SECONDS)
        if not done:
            self._process.kill()
        await self._supervisor

    async def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*self._command, self.kind, "--port", str(self.address.port)),
                env=environment(self._url)
                | {
                    "TALLY_LOG": "json",
                    "TALLY_MAX_CONNECTIONS": str(MAX_CONNECTIONS),
                    "TALLY_MAX_VIEWERS": str(MAX_VIEWERS),
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for the runner, which ends us
            )
        self._record(Start(self.name, time.monotonic()))

    async def _supervise(self) -> None:
        while self._process is not None:
            process = self._process
            status = await process.wait()
            sent = self._sent.get(process.pid, (None, 0.0))
            async with self._exited:
                self._exits.append(Exit(self.name, time.monotonic(), status, *sent))
                self._record(self._exits[-1])
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


def environment(url: str) -> dict[str, str]:
    """This process's own, with Tally's defaults for all but the database."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("TALLY_")}
    return plain | {"TALLY_DATABASE_URL": url}


def free_port() -> int:
    """Find a loopback port that nobody listens on, and none that was given before."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise NotReady("no port is free")
