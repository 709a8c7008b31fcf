"""One PostgreSQL database: work is tried again while it is away, up to a deadline."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from typing import Any, Final, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tally import database_url
from tally.ledger.failures import (
    SchemaOutdated,
    Unavailable,
    is_connection_loss,
    refusal,
    was_undone,
)
from tally.ledger.schema import REVISION
from tally.ledger.session import Sessions

__all__ = [
    "GRACE",
    "Database",
    "SchemaOutdated",
    "Unavailable",
    "current_revision",
    "is_connection_loss",
    "pauses_between_tries",
]

T = TypeVar("T")

# Seconds between the first two tries to reach a database that is away.
_FIRST_PAUSE: Final = 0.1
# Of the time that a request waits, the longest pause: each meets a few tries.
_LONGEST_PAUSE: Final = 0.25
# Seconds for which a try that began just before a deadline may go on: its outcome is known then.
GRACE: Final = 0.5
# Seconds for which a change that failed keeps a service from being ready, unless one succeeds.
_REMEMBERED: Final = 10.0
# Revisions this code has outgrown. Any other unknown revision is a newer one, which only adds
# to what this code needs: during a release old services go on under the new schema.
_OLDER_REVISIONS: Final[frozenset[str]] = frozenset({"0001", "0002", "0003", "0004", "0006"})


def pauses_between_tries(timeout: float) -> Iterator[float]:
    """Give longer and longer pauses, in seconds, which differ from those of other processes."""
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        pause = max(_FIRST_PAUSE, min(2 * pause, _LONGEST_PAUSE * timeout))


class Database:
    """One PostgreSQL database, reached under one role."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        connections: int = 4,
        on_connection: Callable[[bool, str], None] = lambda connected, reason: None,
    ) -> None:
        """Nothing connects yet.

        `timeout` is the longest a caller waits, in seconds, before `Unavailable`.
        `on_connection` is told when the database was lost, and why, and when it is back.
        """
        self.url = url
        self.timeout = timeout
        self._sessions = Sessions(database_url.parse(url), timeout)
        self._on_connection = on_connection
        self._lost = False
        self._change_failed_at = float("-inf")
        # How often PostgreSQL warned that a commit may be durable on no standby, as somebody
        # cancelled its wait: to the client it looks like any other.
        self.ended_waits = 0
        self._connections = connections

    @cached_property
    def engine(self) -> AsyncEngine:
        """The pool, made once it is needed: an adder that only adds never needs it."""
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connect,
            pool_size=self._connections,
            max_overflow=0,
            pool_timeout=self.timeout,
            pool_use_lifo=True,
            # An error is shown and logged.
            hide_parameters=True,
        )

    @cached_property
    def _autocommit(self) -> AsyncEngine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def connect(self) -> Any:  # noqa: ANN401 - asyncpg is untyped
        """Open a connection of asyncpg's own."""
        connection = await self._sessions.open()
        connection.add_log_listener(self._note_warning)
        return connection

    @property
    def host(self) -> tuple[str, int | None]:
        """The host, and its port, that was connected to last."""
        return self._sessions.hosts.last

    def _note_warning(self, connection: Any, message: Any) -> None:  # noqa: ANN401
        # By the place in PostgreSQL's source, since messages are translated.
        self.ended_waits += message.server_source_function == "SyncRepWaitForLSN"

    def require_waited(self, ended_waits: int) -> None:
        """Raise `ConnectionError` if a commit since then was not let wait for its standby."""
        if self.ended_waits != ended_waits:
            raise ConnectionError("a commit's wait for its standby was ended")

    def note_lost(self, error: BaseException, *, change: bool = False) -> None:
        """Report the database lost, once until it is back; `change` if that kept one from it."""
        if change:
            self._change_failed_at = time.monotonic()
        if not self._lost:
            self._lost = True
            self._on_connection(False, f"{type(error).__name__}: {error}")

    def note_reached(self, *, change: bool = False) -> None:
        """Report the database back if it was lost."""
        if change:
            self._change_failed_at = float("-inf")
        if self._lost:
            self._lost = False
            self._on_connection(True, "")

    async def run(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        changes: bool = False,
        autocommit: bool = False,
    ) -> T:
        """Run `work` in a transaction, again while the database is away; raise `Unavailable`.

        Only for work that may run twice: reads, and changes that carry a key. `changes` tells
        which: once a change has begun, nobody knows its outcome if no answer comes. With
        `autocommit` each statement is a transaction of its own, which saves round trips.
        """
        engine = self._autocommit if autocommit else self.engine
        begun = unsure = False
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.timeout
        pauses = pauses_between_tries(self.timeout)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline) as limit:
                while (now := clock()) < deadline:
                    limit.reschedule(max(deadline, now + GRACE))
                    ended_waits = self.ended_waits
                    try:
                        async with _transaction(engine) as connection:
                            if changes:
                                # A connection that was lost while idle shows here, before the
                                # change begins.
                                await connection.execute(text("SELECT 1"))
                            begun = changes
                            result = await work(connection)
                        if changes:
                            # The next try finds it done, and waits.
                            self.require_waited(ended_waits)
                    except Exception as error:
                        unsure |= begun and not was_undone(error)
                        self._note_failure(error, change=begun, outcome_known=not unsure)
                        begun = False
                    else:
                        self.note_reached(change=changes)
                        return result
                    await asyncio.sleep(next(pauses))
        raise Unavailable(
            "the database did not answer in time", outcome_known=not (begun or unsure)
        )

    def _note_failure(self, error: Exception, *, change: bool, outcome_known: bool) -> None:
        """Note that the database was lost, to be tried again, or raise what that can't mend."""
        refused = refusal(error)
        if refused is None and not is_connection_loss(error):
            raise error
        self.note_lost(error, change=change)
        if refused is not None:
            refused.outcome_known = outcome_known
            raise refused from error

    async def check(self) -> None:
        """Raise `Unavailable` or `SchemaOutdated` unless services can work with the database.

        A change that failed a moment ago for the database's sake will fail again.
        """
        revision = await self.run(current_revision)
        if revision is None or revision in _OLDER_REVISIONS:
            raise SchemaOutdated(f"the schema is at {revision}, this release needs {REVISION}")
        if time.monotonic() - self._change_failed_at < _REMEMBERED:
            raise Unavailable("the database took no change a moment ago")

    async def close(self) -> None:
        await self.engine.dispose()


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Begin and commit; a connection that is no good, or may be, does not get back to the pool."""
    async with engine.connect() as connection:
        try:
            async with connection.begin():
                try:
                    yield connection
                except BaseException as error:
                    await _give_up(connection, error)
                    raise
        except BaseException as error:
            await _give_up(connection, error)
            raise


async def _give_up(connection: AsyncConnection, error: BaseException) -> None:
    if connection.invalidated or (
        isinstance(error, Exception) and not is_connection_loss(error) and refusal(error) is None
    ):
        return
    # Not by a farewell, for which a server that hangs would be waited for.
    raw = await connection.get_raw_connection()
    if raw.driver_connection is not None:
        raw.driver_connection.terminate()
    await connection.invalidate()


async def current_revision(connection: AsyncConnection) -> str | None:
    """Read the schema's revision, or None where there is no ledger yet."""
    if await connection.scalar(text("SELECT to_regclass('tally.alembic_version')")) is None:
        return None
    revision: str | None = await connection.scalar(
        text("SELECT version_num FROM tally.alembic_version")
    )
    return revision
