"""Backing up a ledger with PostgreSQL's own pg_dump: all of it, as of one moment."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import asyncpg

from tally.amount import Amount
from tally.ledger.database import Database, Unavailable, is_connection_loss
from tally.ledger.schema import from_numeric

_BLOCK: Final = 1 << 20
# Compressed, and read by pg_restore. Who owns what and who may do what is the business of the
# database that it is restored into.
_OPTIONS: Final = (
    *("--format=custom", "--schema=tally", "--no-owner", "--no-privileges"),
    *("--no-tablespaces", "--no-password"),
)


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
    database: Database, pg_dump: str, write: Callable[[bytes], object]
) -> tuple[int, Amount]:
    """Write an archive of pg_dump's; return the count and the sum that are in it.

    Adds go on meanwhile and are not in it. Raises `BackupFailed`, `Unavailable`, and whatever
    `write` raises.
    """
    connection = await database.connect()
    try:
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
        await transaction.start()
        count, total, snapshot = await connection.fetchrow(
            "SELECT count, sum, pg_export_snapshot() FROM tally.total"
        )
        # The moment is pg_dump's own once it has written anything.
        await _dump(database.url, pg_dump, snapshot, write, begun=connection.close)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if is_connection_loss(error):
            raise Unavailable(f"the database failed: {error}") from error
        raise
    finally:
        connection.terminate()
    return count, from_numeric(total)


async def _dump(
    url: str,
    pg_dump: str,
    snapshot: str,
    write: Callable[[bytes], object],
    begun: Callable[[], Any],
) -> None:
    address, password = split_password(url)
    environment = {**os.environ, "LC_ALL": "C", "PGAPPNAME": "tally backup"}
    process = await asyncio.create_subprocess_exec(
        *(pg_dump, *_OPTIONS, f"--snapshot={snapshot}", f"--dbname={address}"),
        # An argument could be read by everybody on the machine.
        env=environment if password is None else {**environment, "PGPASSWORD": password},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None  # noqa: S101 - for the types
    assert process.stderr is not None  # noqa: S101
    said = asyncio.create_task(process.stderr.read())
    try:
        first = True
        while block := await process.stdout.read(_BLOCK):
            if first:
                await begun()
                first = False
            write(block)
        status = await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    finally:
        complaint = await said
    if status != 0:
        raise BackupFailed(f"pg_dump failed: {first_line(complaint)}")


def split_password(url: str) -> tuple[str, str | None]:
    """Part a database's URL into one without a password, and the password."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    named = [value for name, value in query if name == "password"]
    others = urlencode([it for it in query if it[0] != "password"], quote_via=quote)
    without = parts._replace(netloc=f"{user}{at}{hosts}", query=others).geturl()
    given = named[-1] if named else unquote(password)
    return without, given or None


def first_line(complaint: bytes) -> str:
    """Pick the first error that one of PostgreSQL's programs printed."""
    lines = complaint.decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if "error:" in line]
    line = (errors or lines or ["it gave no reason"])[0]
    return line.partition("error: ")[2] or line
