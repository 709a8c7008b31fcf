"""Sessions of PostgreSQL's: the same whatever the defaults are there, and never too many."""

import asyncio
import itertools
import time
import uuid
from typing import Any, Final

import asyncpg

from tally.database_url import DatabaseUrl
from tally.ledger.failures import UnusableServer, refusal
from tally.ledger.hosts import KEEPALIVES, USER_TIMEOUT, Hosts

# Sent when a session begins, so that they count more than what the role set for itself: any role
# may do that, for good, and with these it could keep a session from beginning or from changing.
_FIRST: Final = {
    "local_preload_libraries": "",
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    # By which `target_session_attrs` tells servers apart.
    "default_transaction_read_only": "off",
}
# PostgreSQL 17 and later; older ones refuse a session that names it.
_FIRST_17: Final = {"transaction_timeout": "0"}
# Set in each session: databases, roles and servers have defaults of their own, by which a change
# may fail, wait for ever, be seen too early, or mean something else.
_PINNED: Final = (
    _FIRST
    | _FIRST_17
    | {
        "search_path": "pg_catalog",
        # What runs, and for how long.
        "default_transaction_isolation": "read committed",
        "default_transaction_deferrable": "off",
        "lock_timeout": "0",
        # An error ends no session, and PostgreSQL says when it ends a commit's wait for a standby.
        "exit_on_error": "off",
        "client_min_messages": "notice",
        # Longer than anything of Tally's pauses within a transaction.
        "idle_in_transaction_session_timeout": "60s",
        # Every total is one indexed row: compiling a query never pays.
        "jit": "off",
        # What texts mean, and how values are written.
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "standard_conforming_strings": "on",
        "array_nulls": "on",
        "transform_null_equals": "off",
        "quote_all_identifiers": "off",
        "row_security": "on",
        "check_function_bodies": "on",
        # The server looks whether a client that waits has left, and finds a network that is dead.
        "client_connection_check_interval": "1s",
        **{f"tcp_{name}": str(value) for name, value in KEEPALIVES.items()},
        "tcp_user_timeout": f"{USER_TIMEOUT}s",
    }
)
# Back to PostgreSQL's own default: whatever else the role set for itself. An acknowledgement waits
# for the disk at least; a default that waits for a standby stays.
_PIN: Final = """
    SELECT pg_catalog.set_config(s.name, coalesce(p.value, s.boot_val), false)
      FROM pg_catalog.pg_settings AS s
      LEFT JOIN ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]),
                           pg_catalog.unnest($2::pg_catalog.text[]))
             AS p (name, value) ON p.name = s.name
     WHERE s.context = 'user' AND s.name <> 'application_name'
       AND (p.name IS NOT NULL OR s.source IN ('user', 'database user')
            OR s.name = 'synchronous_commit' AND s.setting IN ('off', 'local'))
"""
_END: Final = """
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
     WHERE usename = current_user AND application_name LIKE $1 AND application_name <> ALL ($2)
"""


class Sessions:
    """Opens sessions under one database URL, one at a time, and ends those that were given up.

    So whatever hangs, the server has no more of a process's sessions than it uses, and a login that
    waits.
    """

    def __init__(self, url: DatabaseUrl, timeout: float) -> None:
        """`timeout` is the longest that opening one takes, in seconds."""
        self._timeout = timeout
        self.hosts = Hosts(url)
        # Each session has a name, by which its backend can be found.
        self._prefix = f"tally {uuid.uuid4().hex}"
        self._numbers = itertools.count(1)
        self._open: dict[str, Any] = {}
        self._opening = asyncio.Lock()
        self._first = _FIRST | _FIRST_17
        self._failed: tuple[float, Exception | None] = (0.0, None)

    async def open(self) -> Any:  # noqa: ANN401 - asyncpg is untyped
        """Open a connection of asyncpg's own.

        Raises what asyncpg and the system raise, and `UnusableServer`.
        """
        async with self._opening:
            name = f"{self._prefix} {next(self._numbers)}"
            connection = await self._log_in_or_wait(name)
            try:
                async with asyncio.timeout(self._timeout):
                    # First: what is set in a shared session, others would find set.
                    await self._require_own_backend(connection)
                    await connection.execute(_PIN, list(_PINNED), list(_PINNED.values()))
                    self._open = {
                        name: other for name, other in self._open.items() if not other.is_closed()
                    }
                    # Backends that may wait for a lock or a standby, and are told by nobody else.
                    await connection.fetch(_END, f"{self._prefix} %", [name, *self._open])
            except BaseException:
                connection.terminate()
                raise
            self._open[name] = connection
            return connection

    async def _log_in_or_wait(self, name: str) -> Any:  # noqa: ANN401 - asyncpg is untyped
        """Open a session, but leave a server that refuses, or does not answer, alone for a while.

        Each login that is given up waits in its queue, and is ended only once it looks there.
        """
        until, error = self._failed
        if error is not None and time.monotonic() < until:
            raise error.with_traceback(None)
        try:
            return await self._log_in(name)
        except Exception as error:
            pause = self._timeout if isinstance(error, TimeoutError) else _REFUSED_SECONDS
            if isinstance(error, TimeoutError) or refusal(error) is not None:
                self._failed = (time.monotonic() + pause, error)
            raise

    async def _log_in(self, name: str) -> Any:  # noqa: ANN401 - asyncpg is untyped
        """Open a session of that name, with as much of what comes first as the server takes."""
        while True:
            try:
                return await self.hosts.connect(
                    self._first | {"application_name": name}, self._timeout
                )
            except asyncpg.UndefinedObjectError:
                if not self._first.keys() & _FIRST_17.keys():
                    raise
                self._first = _FIRST
            except asyncpg.ProtocolViolationError:
                # A pooler, which refuses all that it would have to keep for each client.
                if not self._first:
                    raise
                self._first = {}

    async def _require_own_backend(self, connection: Any) -> None:  # noqa: ANN401
        """Raise `UnusableServer` where a pooler gives a session's backend to others between."""
        if connection.get_server_pid() == await connection.fetchval(_BACKEND):
            return  # no pooler stands between: those number sessions themselves
        other = await self._log_in(f"{self._prefix} 0")
        try:
            seen = [
                (await connection.fetchval(_BACKEND), await other.fetchval(_BACKEND))
                for _ in range(_LOOKS)
            ]
        except asyncpg.ProtocolViolationError as error:
            raise UnusableServer(_SHARED) from error
        finally:
            other.terminate()
        own, others = ({pids[side] for pids in seen} for side in (0, 1))
        if len(own) > 1 or own & others:
            raise UnusableServer(_SHARED)


_REFUSED_SECONDS: Final = 0.5
_BACKEND: Final = "SELECT pg_catalog.pg_backend_pid()"
# Two sessions that share backends are seen to, unless many others take turns at the same ones.
_LOOKS: Final = 10
_SHARED: Final = (
    "a pooler shares sessions of the database (pool_mode transaction or statement), and Tally needs"
    " its own: use pool_mode=session, or the database's own address"
)
