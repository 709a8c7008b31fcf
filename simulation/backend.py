"""A backend: runs a session's statements, and may be ended, cancelled or stopped at any moment."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from simulation.functions import Row, refused
from simulation.statements import Statement, statement_of
from simulation.transaction import Transaction

if TYPE_CHECKING:
    from simulation.server import Server

# client_connection_check_interval, as sessions set it.
_LOOKS_EVERY: Final = 1.0
_FATAL: Final = {"severity": "FATAL", "severity_en": "FATAL"}
# What PostgreSQL names in its warning when a commit's wait for its standby is ended.
ENDED_WAIT: Final = "SyncRepWaitForLSN"


class Backend:
    """`user` is who it belongs to, `name` its application_name."""

    def __init__(self, server: "Server", user: str, name: str) -> None:
        self.server = server
        self.user = user
        self.name = name
        self.pid = next(server.pids)
        self.looks_for_client = False
        """Whether it notices within a second that its client left, while it waits for a lock."""
        self.query = ""
        """What it runs, or ran last."""
        self.lock_timeout: float | None = None
        self.transaction: Transaction | None = None
        self.waits_for: str | None = None
        """`Lock` or `SyncRep`, as pg_stat_activity says; None where it waits for neither."""
        self.alive = True
        self.client_left = False
        self.cut_off = False
        """Whether no network leads to its client any more, which neither was told."""
        self.busy: asyncio.Task[None] | None = None
        self.warn: Callable[[str], None] = lambda source: None
        self.lost: Callable[[], None] = lambda: None
        self._interrupt: Exception | None = None
        self._wait: asyncio.Future[None] | None = None
        self._stopped_until = 0.0

    # What happens to it

    def terminate(self) -> None:
        """As pg_terminate_backend."""
        self._signal(refused(asyncpg.AdminShutdownError, "terminating connection", **_FATAL))

    def cancel(self) -> None:
        """As pg_cancel_backend; does nothing to an idle one."""
        if self.busy is not None:
            self._signal(refused(asyncpg.QueryCanceledError, "canceling statement"))

    def stop_for(self, seconds: float) -> None:
        """As SIGSTOP, and later SIGCONT."""
        self._stopped_until = max(self._stopped_until, self.server.now() + seconds)

    def client_leaves(self) -> None:
        """It notices once it has nothing else to do."""
        self.client_left = True
        if self.busy is None:
            self.end()
        elif self.looks_for_client:
            asyncio.get_running_loop().call_later(_LOOKS_EVERY, self._look_for_client)

    def _look_for_client(self) -> None:
        if self.alive and self.waits_for == "Lock":
            self.terminate()

    def end(self) -> None:
        """End the process, and roll back what is open."""
        if not self.alive:
            return
        self.alive = False
        if self._wait is not None and not self._wait.done():
            self._wait.set_exception(refused(asyncpg.AdminShutdownError, "the session has ended"))
        self.roll_back()
        self.server.backends.remove(self)
        self.lost()

    def _signal(self, interrupt: Exception) -> None:
        if not isinstance(self._interrupt, asyncpg.AdminShutdownError):
            self._interrupt = interrupt
        if self.is_stopped():
            return  # it learns of it once it goes on
        if self._wait is not None and not self._wait.done():
            self._wait.set_exception(self._interrupt)
            self._interrupt = None
        elif self.busy is None and isinstance(interrupt, asyncpg.AdminShutdownError):
            self.end()

    def is_stopped(self) -> bool:
        return self.server.now() < max(self._stopped_until, self.server.stopped_until)

    async def goes_on(self) -> None:
        """Wait while it is stopped, then raise what it was sent meanwhile."""
        while self.is_stopped():
            until = max(self._stopped_until, self.server.stopped_until)
            await asyncio.sleep(until - self.server.now())
        if not self.alive:
            raise refused(asyncpg.AdminShutdownError, "the session has ended")
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            raise interrupt

    # What it does

    async def run(self, query: str, arguments: tuple[Any, ...]) -> list[Row]:
        """Run one statement, in a transaction of its own unless one is open."""
        statement = statement_of(query)
        await self.goes_on()
        tx = self.transaction or self._begin()
        try:
            if tx.failed and not statement.ends:
                raise refused(asyncpg.InFailedSQLTransactionError, "transaction is aborted")
            rows = await self._run(tx, statement, arguments)
        except Exception as error:
            tx.fail()
            if self.transaction is None:
                tx.end()
            if isinstance(error, asyncpg.AdminShutdownError):
                self.end()
            raise
        return rows

    async def _run(
        self, tx: Transaction, statement: Statement, arguments: tuple[Any, ...]
    ) -> list[Row]:
        rows = await statement.run(self, tx, *arguments)
        await self.goes_on()
        if self.transaction is None:
            await self.commit(tx)
        return rows

    def begin(self) -> None:
        self.transaction = self._begin()

    def roll_back(self) -> None:
        if self.transaction is not None:
            self.transaction.end()
            self.transaction = None

    def _begin(self) -> Transaction:
        server = self.server
        return Transaction(server.rows, server.locks, server.now, self._wait_for_lock)

    async def commit(self, tx: Transaction) -> None:
        """Make a transaction visible once its standby has it, or once its wait is ended."""
        self.transaction = None
        if tx.ended:
            return
        if tx.failed or not (tx.writes or tx.confirms):
            tx.end()
            return
        confirmation = self.server.append(tx.writes)
        interrupt = await self._wait_for_standby(confirmation)
        self.server.rows.update(tx.writes)
        tx.end()
        if interrupt is not None:
            self.warn(ENDED_WAIT)
        if isinstance(interrupt, asyncpg.AdminShutdownError):
            raise interrupt

    async def _wait_for_standby(self, confirmation: asyncio.Future[None]) -> Exception | None:
        self.waits_for, self._wait = "SyncRep", confirmation
        try:
            self.server.reached(self, "commit")
            await confirmation
            await self.goes_on()
        except asyncpg.PostgresError as interrupt:
            return interrupt
        finally:
            self.waits_for = self._wait = None
        return None

    async def _wait_for_lock(self, turn: asyncio.Future[None]) -> None:
        self.waits_for, self._wait = "Lock", turn
        loop = asyncio.get_running_loop()
        timer = None
        if self.lock_timeout is not None:
            error = refused(
                asyncpg.LockNotAvailableError, "canceling statement due to lock timeout"
            )
            timer = loop.call_later(self.lock_timeout, _fail, turn, error)
        try:
            await turn
            await self.goes_on()
        finally:
            self.waits_for = self._wait = None
            if timer is not None:
                timer.cancel()


def _fail(turn: asyncio.Future[None], error: Exception) -> None:
    if not turn.done():
        turn.set_exception(error)
