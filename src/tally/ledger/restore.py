"""Restoring a backup: its rows, and nothing else of it, into a schema that this release makes.

All is one transaction: the schema as of the backup, its rows, the migrations since, the rights of
the roles, and the audit. So whatever fails, and whoever is killed, nothing is restored.
"""

import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.ledger.audit import audit_within
from tally.ledger.client_program import ClientProgram, running
from tally.ledger.database import Database, current_revision
from tally.ledger.failures import unavailable_if_lost
from tally.ledger.migrate import lock, upgrade
from tally.ledger.roles import ensure_roles
from tally.ledger.schema import REVISION

# Bytes of lines, read at a time.
_BLOCK: Final = 1 << 20
_COPY: Final = re.compile(rb"COPY tally\.(\w+) \(([\w\", ]+)\) FROM stdin;\n")
_END: Final = b"\\.\n"
_TABLES: Final = """
    SELECT relname FROM pg_class
     WHERE relnamespace = 'tally'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
"""
_CONTENT: Final = """
    SELECT count, trim_scale(sum)::text AS sum, last_id,
           last_id = 0 AND NOT EXISTS (SELECT FROM tally.reset)
                       AND NOT EXISTS (SELECT FROM tally.answer) AS untouched
      FROM tally.total
"""


class NotRestored(Exception):
    """Nothing was restored; one line that says why."""


async def restore(
    database: Database,
    pg_restore: str,
    archive: BinaryIO,
    notice: Callable[[str], None] = lambda line: None,
) -> tuple[int, str]:
    """Restore an archive of pg_dump's into a database without a ledger, or with an untouched one.

    Returns the count and the sum. `notice` gets a line for what the owner of the database was not
    allowed to do. Raises `NotRestored`, `SchemaNewer` or `Unavailable`.
    """
    with unavailable_if_lost():
        async with database.engine.connect() as connection:
            # What comes by a pipe may be slow to come.
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await _make_room(connection)
            with _script(pg_restore, archive) as script:
                await _load(connection, script)
            if await current_revision(connection) != REVISION:
                await connection.run_sync(upgrade)
            for undone in await ensure_roles(connection):
                notice(f"not allowed to this owner, and left to the server's: {undone}")
            count, total = (await connection.execute(text(_CONTENT))).one()[:2]
            await _audit(connection)
            await connection.commit()
    return count, total


async def _driver(connection: AsyncConnection) -> Any:  # noqa: ANN401 - asyncpg is untyped
    return (await connection.get_raw_connection()).driver_connection


async def _make_room(connection: AsyncConnection) -> None:
    """Refuse a ledger that holds anything; drop one that was made and never used."""
    await lock(connection)
    if await current_revision(connection) is None:
        return
    # Who adds now waits until all is restored.
    await connection.execute(text("LOCK TABLE tally.total IN ACCESS EXCLUSIVE MODE"))
    found = (await connection.execute(text(_CONTENT))).one()
    if not found.untouched:
        raise NotRestored(
            f"there is a ledger already: {found.count} entries that make {found.sum}, and"
            f" {found.last_id} ever added; restore into another database or data directory"
        )
    await connection.execute(text("DROP SCHEMA tally CASCADE"))
    await lock(connection)


async def _audit(connection: AsyncConnection) -> None:
    report = await audit_within(await _driver(connection))
    if report.difference is not None:
        raise NotRestored(f"the backup contradicts itself: {report.difference}")


async def _load(connection: AsyncConnection, script: "_Script") -> None:
    """Make the schema of the backup's revision, and copy its rows."""
    driver = await _driver(connection)
    missing: set[str] | None = None
    async for line in script:
        copied = _COPY.fullmatch(line)
        if copied is None:
            continue
        table, columns = copied[1].decode(), copied[2].decode().replace('"', "").split(", ")
        if table == "alembic_version":  # the first by name
            revision = b"".join([block async for block in script.rows()]).decode().strip()
            await connection.run_sync(upgrade, revision)
            missing = set(await connection.scalars(text(_TABLES)))
            await connection.execute(text("DELETE FROM tally.total"))
        elif missing is not None and table in missing:
            missing.remove(table)
            try:
                await driver.copy_to_table(
                    table, schema_name="tally", columns=columns, source=script.rows()
                )
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                raise NotRestored(f"what it has for {table} breaks a rule: {error}") from error
            except asyncpg.UndefinedColumnError as error:
                raise NotRestored(f"what it has for {table} does not fit: {error}") from error
    await script.finish()
    if missing is None:
        raise NotRestored("it is no backup of a ledger")
    if missing:
        raise NotRestored(f"it is no whole backup: it lacks {', '.join(sorted(missing))}")


class _Script:
    """The lines of SQL that pg_restore makes of an archive."""

    def __init__(self, program: ClientProgram) -> None:
        self._program = program
        self._lines: list[bytes] = []

    async def _read(self) -> bool:
        """Read on; tell whether there is more."""
        if not self._lines:
            self._lines = await self._program.lines(_BLOCK)
        return bool(self._lines)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give each line that is no row."""
        while await self._read():
            yield self._lines.pop(0)

    async def rows(self) -> AsyncIterator[bytes]:
        """Give the rows after a COPY, many at a time, as PostgreSQL takes them."""
        while await self._read():
            lines, self._lines = self._lines, []
            if _END in lines:
                end = lines.index(_END)
                lines, self._lines = lines[:end], lines[end + 1 :]
                yield b"".join(lines)
                return
            yield b"".join(lines)

    async def finish(self) -> None:
        """Raise `NotRestored` unless all of the archive was read."""
        if (complaint := await self._program.failure()) is not None:
            raise NotRestored(f"pg_restore: {complaint}")


@contextmanager
def _script(pg_restore: str, archive: BinaryIO) -> Iterator[_Script]:
    command = [pg_restore, "--schema=tally", "--data-only", "--file=-"]
    with running(command, {**os.environ, "LC_ALL": "C"}, archive) as program:
        yield _Script(program)
