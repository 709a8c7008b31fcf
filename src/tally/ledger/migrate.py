"""Bring a database's schema, roles, privileges and passwords up to date."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.ledger import scram
from tally.ledger.database import Database, current_revision
from tally.ledger.schema import REVISION

# Any number does, as long as nobody else in the database uses it: "tally" in ASCII.
_LOCK: Final = 0x74616C6C79

# What each service, and a person who looks, may do; PostgreSQL itself refuses everything else.
_GRANTS: Final = {
    "tally_adder": (
        "SELECT ON tally.total",
        "EXECUTE ON FUNCTION tally.register_writer, tally.add_batch, tally.settle_batch,"
        " tally.recall",
    ),
    "tally_display": ("SELECT ON tally.total, tally.entry",),
    "tally_reset": (
        "SELECT ON tally.total, tally.reset",
        "EXECUTE ON FUNCTION tally.reset_total, tally.undo_reset",
    ),
    "tally_operator": ("SELECT ON ALL TABLES IN SCHEMA tally",),
}
ROLES: Final = tuple(_GRANTS)


class SchemaNewer(Exception):
    """The database was migrated by a newer release; this one must not touch it."""


async def migrate(database: Database, passwords: Mapping[str, str] | None = None) -> bool:
    """Migrate if need be, and tell whether the schema had to be changed.

    Safe to run twice and at the same time: the second waits for the first, then finds its work
    done. `passwords` are set for the roles they name; the others keep theirs. Raises
    `SchemaNewer`.
    """
    async with database.engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        await connection.commit()
        try:
            before = await current_revision(connection)
            if before != REVISION:
                await connection.execute(text("CREATE SCHEMA IF NOT EXISTS tally"))
                await connection.run_sync(upgrade)
            await _ensure_roles(connection)
            await _set_passwords(connection, passwords or {})
            await connection.commit()
        finally:
            await connection.rollback()
            await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            await connection.commit()
    return before != REVISION


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


async def _ensure_roles(connection: AsyncConnection) -> None:
    """Create the roles where that is allowed, and grant what they need."""
    may_create = await connection.scalar(
        text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    )
    if may_create:
        for role in ROLES:
            # Roles belong to the whole server: another database's migration may be making it.
            await connection.execute(
                text(
                    f"DO $$ BEGIN CREATE ROLE {role} LOGIN;"
                    " EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
                )
            )
    present = set(
        await connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles)"), {"roles": list(ROLES)}
        )
    )
    for role in present:
        for grant in ("USAGE ON SCHEMA tally", "SELECT ON tally.alembic_version", *_GRANTS[role]):
            await connection.execute(text(f"GRANT {grant} TO {role}"))


async def _set_passwords(connection: AsyncConnection, passwords: Mapping[str, str]) -> None:
    """Let each role log in with its password, and with no older one."""
    for role, password in passwords.items():
        # Only a verifier is sent: statements like this one end up in a server's log.
        verifier = scram.verifier(password)
        await connection.exec_driver_sql(f"ALTER ROLE {role} PASSWORD '{verifier}'")
