"""Bring a database's schema, roles, privileges and passwords up to date."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.ledger import scram
from tally.ledger.database import Database, current_revision
from tally.ledger.failures import unavailable_if_lost
from tally.ledger.roles import ROLES, ensure_roles
from tally.ledger.schema import REVISION

# While a migration waits for a lock that a service's session keeps, and how long that may.
_LOOK_EVERY: Final = 1.0
_END_BLOCKERS: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid = ANY (pg_blocking_pids($1)) AND usename = ANY ($2)
       AND xact_start < clock_timestamp() - interval '2 s'
       AND (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
"""


class SchemaNewer(Exception):
    """The database was migrated by a newer release; this one must not touch it."""


async def migrate(
    database: Database,
    passwords: Mapping[str, str] | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> bool:
    """Migrate if need be, and tell whether the schema had to be changed.

    Safe to run twice and at the same time: the second waits for the first, then finds its work
    done. `passwords` are set for the roles they name; the others keep theirs. `notice` gets a line
    for what the owner of the database was not allowed to do. Raises `SchemaNewer`
    and `Unavailable`.
    """
    with unavailable_if_lost():
        async with database.engine.connect() as connection, _unblocked(database, connection):
            await lock(connection)
            before = await current_revision(connection)
            if before != REVISION:
                await connection.run_sync(upgrade)
            for undone in await ensure_roles(connection):
                notice(f"not allowed to this owner, and left to the server's: {undone}")
            await _set_passwords(connection, passwords or {})
            await connection.commit()
    return before != REVISION


async def set_passwords(database: Database, passwords: Mapping[str, str]) -> None:
    """Set passwords alone, as may be done under any schema. Raises `Unavailable`."""
    with unavailable_if_lost():
        async with database.engine.connect() as connection, _unblocked(database, connection):
            await lock(connection)
            await _set_passwords(connection, passwords)
            await connection.commit()


async def lock(connection: AsyncConnection) -> None:
    """Keep other migrations away until the transaction ends.

    By a table's lock, which needs a right that only the owner has: an advisory lock is anybody's.
    Where there is no table yet, the second migration waits for the first to have made it.
    """
    await connection.execute(
        text(
            "DO $$ BEGIN CREATE SCHEMA IF NOT EXISTS tally;"
            " CREATE TABLE IF NOT EXISTS tally.alembic_version ("
            "version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);"
            " EXCEPTION WHEN unique_violation OR duplicate_table THEN END $$"
        )
    )
    await connection.execute(text("LOCK TABLE tally.alembic_version IN SHARE ROW EXCLUSIVE MODE"))


@asynccontextmanager
async def _unblocked(database: Database, connection: AsyncConnection) -> AsyncIterator[None]:
    """While the block runs, end the sessions of services that keep its connection waiting.

    Otherwise one that holds a lock and does nothing would hold up every migration, and all adds
    behind it.
    """
    pid = await connection.scalar(text("SELECT pg_backend_pid()"))

    async def look() -> None:
        await asyncio.sleep(_LOOK_EVERY)
        own = await database.connect()
        try:
            while True:
                await own.execute(_END_BLOCKERS, pid, list(ROLES))
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            own.terminate()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        (ended,) = await asyncio.gather(looking, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to a revision, in the transaction that is under way."""
    # Imported here because a service that finds its schema current never needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise SchemaNewer(
            f"the database's schema is newer than {REVISION}, the newest this release knows:"
            " run a newer release of Tally"
        ) from error


# Nothing of a verifier stands in a statement, a parameter, or an error's context: each may be
# logged. What is copied is not. A second error of its own says what the first one did.
_SET_PASSWORDS: Final = """
    DO $$
    DECLARE
        given record;
    BEGIN
        FOR given IN SELECT role, verifier FROM tally.password LOOP
            EXECUTE format('ALTER ROLE %I PASSWORD %L', given.role, given.verifier);
        END LOOP;
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = SQLSTATE,
            MESSAGE = format('the password of %s can''t be set: %s', given.role, SQLERRM);
    END $$
"""


async def _set_passwords(connection: AsyncConnection, passwords: Mapping[str, str]) -> None:
    """Let each role log in with its password, and with no older one."""
    if not passwords:
        return
    # Only verifiers are sent, and seen by nobody else: the table is gone before this is committed.
    verifiers = [(role, scram.verifier(password)) for role, password in passwords.items()]
    await connection.execute(text("CREATE TABLE tally.password (role text, verifier text)"))
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None  # noqa: S101 - for types
    await raw.copy_records_to_table("password", schema_name="tally", records=verifiers)
    await connection.execute(text(_SET_PASSWORDS))
    await connection.execute(text("DROP TABLE tally.password"))
