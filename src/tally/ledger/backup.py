"""Backing up a ledger with PostgreSQL's own pg_dump: all of it, as of one moment."""

import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tally import database_url
from tally.amount import Amount
from tally.ledger.client_program import running
from tally.ledger.database import Database
from tally.ledger.failures import unavailable_if_lost
from tally.ledger.schema import from_numeric

_BLOCK: Final = 1 << 20
# Compressed, and read by pg_restore. Who owns what and who may do what is the business of the
# database that it is restored into.
_OPTIONS: Final = (
    *("--format=custom", "--schema=tally", "--no-owner", "--no-privileges"),
    *("--no-tablespaces", "--no-password"),
)
# libpq's variables that would lead it elsewhere than the other connection.
_ELSEWHERE: Final = ("PGHOSTADDR", "PGOPTIONS", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS")


class BackupFailed(Exception):
    """PostgreSQL's program could not do it; one line of what it said."""


async def server_version(database: Database) -> int:
    """Ask the server for its major version."""
    connection = await database.connect()
    try:
        return int(connection.get_server_version().major)
    finally:
        connection.terminate()


async def backup(
    database: Database, pg_dump: str, write: Callable[[bytes], Awaitable[None]]
) -> tuple[int, Amount]:
    """Write an archive of pg_dump's; return the count and the sum that are in it.

    Adds go on meanwhile and are not in it. Raises `BackupFailed`, `Unavailable`, and whatever
    `write` raises.
    """
    connection = await database.connect()
    try:
        with unavailable_if_lost():
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            count, total, snapshot = await connection.fetchrow(
                "SELECT count, sum, pg_export_snapshot() FROM tally.total"
            )
        # The moment is pg_dump's own once it has written anything.
        address, password = login(database.url, database.host)
        command = [pg_dump, *_OPTIONS, f"--snapshot={snapshot}", f"--dbname={address}"]
        await _dump(command, password, write, begun=connection.close)
    finally:
        connection.terminate()
    return count, from_numeric(total)


async def _dump(
    command: list[str],
    password: str | None,
    write: Callable[[bytes], Awaitable[None]],
    begun: Callable[[], Any],
) -> None:
    environment = {name: it for name, it in os.environ.items() if name not in _ELSEWHERE}
    environment["LC_ALL"] = "C"
    if password is not None:
        environment["PGPASSWORD"] = password  # everybody on the machine may read an argument
    with running(command, environment) as program:
        first = True
        while block := await program.read(_BLOCK):
            if first:
                await begun()
                first = False
            await write(block)
        if (complaint := await program.failure()) is not None:
            raise BackupFailed(f"pg_dump failed: {complaint}")


def login(url: str, host: tuple[str, int | None]) -> tuple[str, str | None]:
    """Say in libpq's words how to connect to one host of a URL, and the password apart from it."""
    parameters = dict(database_url.parse(url).parameters)
    password = parameters.pop("password", None)
    # Which of the hosts is decided.
    for name in ("target_session_attrs", "load_balance_hosts"):
        parameters.pop(name, None)
    name, port = host
    where = {"host": name, "port": "" if port is None else str(port)}
    given = {**where, **parameters, "application_name": "tally backup"}
    return " ".join(f"{name}={_quoted(value)}" for name, value in given.items() if value), password


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
