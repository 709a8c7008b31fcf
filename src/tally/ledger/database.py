"""Connections to PostgreSQL, and the errors that say why there are none."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tally.ledger.schema import REVISION

T = TypeVar("T")

# Seconds between the first two tries to reach a database that is away.
_FIRST_PAUSE: Final = 0.1
# Of the time that a request waits, the longest pause: each meets a few tries.
_LONGEST_PAUSE: Final = 0.25
# Sent when a session begins, so that they count more than what the role set for itself: any role
# may do that, for good, and with these it could keep a session from beginning or from changing.
_SETTINGS: Final = {
    "timezone": "UTC",
    # Every total is one indexed row: compiling a query never pays.
    "jit": "off",
    "default_transaction_read_only": "off",
    "local_preload_libraries": "",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    # Longer than anything of Tally's pauses within a transaction.
    "idle_in_transaction_session_timeout": "60s",
}
# PostgreSQL 17 and later; older ones refuse a session that names it.
_SETTINGS_17: Final = {"transaction_timeout": "0"}
# Whatever else the role set for itself: back to PostgreSQL's own default.
_FORGET: Final = """
    SELECT pg_catalog.set_config(name, boot_val, false) FROM pg_catalog.pg_settings
     WHERE source IN ('user', 'database user') AND context = 'user'
"""
_END: Final = """
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
     WHERE usename = current_user AND application_name = ANY($1::text[])
"""
# Revisions this code has outgrown. Any other unknown revision is a newer one, which only adds
# to what this code needs: during a release old services go on under the new schema.
_OLDER_REVISIONS: Final[frozenset[str]] = frozenset({"0001", "0002", "0003", "0004"})


class Unavailable(Exception):
    """The database can't be reached, or did not answer in time.

    `outcome_known` is true where the request certainly changed nothing. That of a request with a
    key, which is `keyed`, may be a repeat: whether an earlier try changed something is open.
    """

    def __init__(self, reason: str, *, outcome_known: bool = True, keyed: bool = False) -> None:
        super().__init__(reason)
        self.outcome_known = outcome_known
        self.keyed = keyed

    def under_key(self) -> "Unavailable":
        """Say the same of a request with a key."""
        return Unavailable(str(self), outcome_known=self.outcome_known, keyed=True)


class SchemaOutdated(Exception):
    """The database lacks migrations that this code needs."""


def pauses_between_tries(timeout: float) -> Iterator[float]:
    """Give longer and longer pauses, in seconds, which differ from those of other processes."""
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        pause = max(_FIRST_PAUSE, min(2 * pause, _LONGEST_PAUSE * timeout))


def is_connection_loss(error: BaseException | None) -> bool:
    """Tell whether an error means that the connection, and not the request, is at fault."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or is_connection_loss(error.orig or error.__cause__)
    if isinstance(error, asyncpg.PostgresError):
        return isinstance(
            error,
            asyncpg.PostgresConnectionError
            | asyncpg.OperatorInterventionError
            | asyncpg.InsufficientResourcesError
            | asyncpg.PostgresSystemError,
        )
    # asyncpg's internal error is what a request meets on a connection that was ended while idle.
    if isinstance(
        error,
        OSError | PoolTimeout | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError,
    ):
        return True
    return error is not None and is_connection_loss(error.__cause__)


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
        self._on_connection = on_connection
        self._lost = False
        # Connections by their names, until their backends are known to have ended.
        self._opened: dict[str, Any] = {}
        # How often PostgreSQL warned that a commit may be durable on no standby, as somebody
        # cancelled its wait: to the client it looks like any other.
        self.ended_waits = 0
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connect,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=timeout,
            pool_use_lifo=True,
        )
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def connect(self) -> Any:  # noqa: ANN401 - asyncpg is untyped
        """Open a connection of asyncpg's own, and end the backends of those that were given up."""
        # A name of its own, by which its backend can be found.
        name = f"tally {uuid.uuid4()}"
        settings = _SETTINGS | {"application_name": name}
        try:
            connection = await self._open(settings | _SETTINGS_17)
        except asyncpg.UndefinedObjectError:
            connection = await self._open(settings)
        try:
            await connection.execute(_FORGET, timeout=self.timeout)
            await self._end_abandoned(connection)
        except BaseException:
            connection.terminate()
            raise
        connection.add_log_listener(self._note_warning)
        self._opened[name] = connection
        return connection

    async def _end_abandoned(self, connection: Any) -> None:  # noqa: ANN401
        """End backends that may still wait for a lock or a standby, and are told by nobody else.

        So whatever hangs, a service holds no more of the server's connections than it uses.
        """
        closed = [name for name, other in self._opened.items() if other.is_closed()]
        if closed:
            await connection.execute(_END, closed, timeout=self.timeout)
            for name in closed:
                self._opened.pop(name, None)  # two may connect at once

    def _note_warning(self, connection: Any, message: Any) -> None:  # noqa: ANN401
        # By the place in PostgreSQL's source, since messages are translated.
        self.ended_waits += message.server_source_function == "SyncRepWaitForLSN"

    def require_waited(self, ended_waits: int) -> None:
        """Raise `ConnectionError` if a commit since then was not let wait for its standby."""
        if self.ended_waits != ended_waits:
            raise ConnectionError("a commit's wait for its standby was ended")

    async def _open(self, settings: dict[str, str]) -> Any:  # noqa: ANN401 - asyncpg is untyped
        return await asyncpg.connect(self.url, timeout=self.timeout, server_settings=settings)

    def note_lost(self, error: Exception) -> None:
        """Report the database lost, once until it is back."""
        if not self._lost:
            self._lost = True
            self._on_connection(False, f"{type(error).__name__}: {error}")

    def note_reached(self) -> None:
        """Report the database back if it was lost."""
        if self._lost:
            self._lost = False
            self._on_connection(True, "")

    async def run(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        changes: bool = False,
        one_statement: bool = False,
    ) -> T:
        """Run `work` in a transaction, again while the database is away; raise `Unavailable`.

        Only for work that may run twice: reads, and changes that carry a key. `changes` tells
        which: once a change has begun, nobody knows its outcome if no answer comes. Work of
        `one_statement` is a transaction by itself, and saves the round trips around it.
        """
        engine = self._autocommit if one_statement else self.engine
        begun = False
        pauses = pauses_between_tries(self.timeout)
        try:
            async with asyncio.timeout(self.timeout):
                while True:
                    ended_waits = self.ended_waits
                    try:
                        async with engine.begin() as connection:
                            if changes:
                                # A connection that was lost while idle shows here, before the
                                # change begins.
                                await connection.execute(text("SELECT 1"))
                            begun = True
                            result = await work(connection)
                        if changes:
                            # The next try finds it done, and waits.
                            self.require_waited(ended_waits)
                    except Exception as error:
                        if not is_connection_loss(error):
                            raise
                        self.note_lost(error)
                    else:
                        self.note_reached()
                        return result
                    await asyncio.sleep(next(pauses))
        except TimeoutError:
            raise Unavailable(
                "the database did not answer in time", outcome_known=not (changes and begun)
            ) from None

    async def check(self) -> None:
        """Raise `Unavailable` or `SchemaOutdated` unless services can work with the database."""
        revision = await self.run(current_revision)
        if revision is None or revision in _OLDER_REVISIONS:
            raise SchemaOutdated(f"the schema is at {revision}, this release needs {REVISION}")

    async def close(self) -> None:
        await self.engine.dispose()


async def current_revision(connection: AsyncConnection) -> str | None:
    """Read the schema's revision, or None where there is no ledger yet."""
    if await connection.scalar(text("SELECT to_regclass('tally.alembic_version')")) is None:
        return None
    revision: str | None = await connection.scalar(
        text("SELECT version_num FROM tally.alembic_version")
    )
    return revision
