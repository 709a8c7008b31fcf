"""The roles of PostgreSQL: what each may do, and how a database is brought to that.

A role is taken to be stolen: whoever has it may send PostgreSQL anything. A role may always set
its own settings, for a session or for good, so they are reset here, and sessions of Tally's choose
theirs when they connect (`Database.connect`).
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.ledger import grants
from tally.ledger.schema import metadata

# What each service, and a person who looks, may read and call; PostgreSQL refuses everything else.
READS: Final = {
    "tally_adder": "tally.total",
    "tally_display": "tally.total, tally.entry, tally.correction, tally.move, tally.stretch",
    "tally_reset": "tally.total, tally.reset",
    "tally_operator": ", ".join(f"tally.{table.name}" for table in metadata.tables.values()),
}
# What any may call that reads: it changes nothing.
AGE: Final = "behind_seconds"
CALLS: Final = {
    "tally_adder": (
        *("register_writer", "add_batch", "settle_batch", "recall", "undo_entry", "free_total"),
        AGE,
    ),
    "tally_display": (AGE,),
    "tally_reset": ("reset_total", "undo_reset", "confirm", "free_total", AGE),
    "tally_operator": (AGE,),
}
ROLES: Final = tuple(READS)

# For sessions that choose nothing themselves, as a person's psql.
_SETTINGS: Final = {"idle_in_transaction_session_timeout": "60s"}
# No role can lift this one, and only a superuser can set it. No query of Tally's needs a file.
_SUPERUSER_SETTINGS: Final = {"temp_file_limit": "256MB"}

# Functions that PostgreSQL lets everybody call, and that reach beyond the caller's session: locks
# that fill the table of all locks, large objects, and records in the log of writes.
_SHARED_FUNCTIONS: Final = "^(pg_(try_)?advisory_|lo_|loread$|lowrite$|pg_logical_emit_message$)"
_SHARED: Final = f"""
    SELECT oid::regprocedure::text FROM pg_proc
     WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '{_SHARED_FUNCTIONS}'
       AND has_function_privilege('public', oid, 'EXECUTE')
"""  # noqa: S608 - of constants
_INSUFFICIENT_PRIVILEGE: Final = "42501"
_POSTGRESQL_16: Final = 160_000


async def ensure_roles(connection: AsyncConnection) -> list[str]:
    """Create the roles and bring them to what they may do, as far as that is allowed.

    Returns what could not be done, in words: an owner who is no superuser may not do all.
    """
    superuser, may_create, version, database = (
        await connection.execute(
            text(
                "SELECT rolsuper, rolsuper OR rolcreaterole,"
                " current_setting('server_version_num')::int, quote_ident(current_database())"
                " FROM pg_roles WHERE rolname = current_user"
            )
        )
    ).one()
    if may_create:
        await _create_roles(connection)
    present = set(
        await connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles)"), {"roles": list(ROLES)}
        )
    )
    settings = _SETTINGS | (_SUPERUSER_SETTINGS if superuser else {})
    statements: list[str] = []
    for role in sorted(present):
        for grant in (
            f"CONNECT ON DATABASE {database}",
            "USAGE ON SCHEMA tally",
            f"SELECT ON {READS[role]}, tally.alembic_version",
            *(f"EXECUTE ON FUNCTION tally.{function}" for function in CALLS[role]),
        ):
            await connection.execute(text(f"GRANT {grant} TO {role}"))
        statements += await _settle(connection, role, settings)
        if may_create and not superuser:
            # Lets `free_total`, which runs as the owner, end the role's sessions.
            how = " WITH INHERIT TRUE, SET FALSE" if version >= _POSTGRESQL_16 else ""
            statements.append(f"GRANT {role} TO CURRENT_USER{how}")
    undone = [statement for statement in statements if not await _allowed(connection, statement)]
    for _ in range(2):  # who owned the schema is seen to have more once he does not
        for privilege in await privileges_beyond(connection):
            await _allowed(connection, privilege.undo)
    undone += [privilege.undo for privilege in await privileges_beyond(connection)]
    await _close_to_public(connection, superuser=superuser)
    return undone + await _open_to_public(connection)


async def privileges_beyond(connection: AsyncConnection) -> list[grants.Privilege]:
    """Find what anybody may do to the ledger that is not listed here."""
    return await grants.beyond(connection, ROLES, [it for role in ROLES for it in _listed(role)])


def _listed(role: str) -> Iterator[str]:
    yield f"{role} DATABASE database CONNECT"
    yield f"{role} SCHEMA tally USAGE"
    for table in (*READS[role].split(", "), "tally.alembic_version"):
        yield f"{role} TABLE {table.removeprefix('tally.')} SELECT"
    for function in CALLS[role]:
        yield f"{role} ROUTINE {function} EXECUTE"


async def _create_roles(connection: AsyncConnection) -> None:
    for role in ROLES:
        # Roles belong to the whole server: another database's migration may be making it.
        await connection.execute(
            text(
                f"DO $$ BEGIN CREATE ROLE {role} LOGIN;"
                " EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
            )
        )


async def _settle(connection: AsyncConnection, role: str, settings: dict[str, str]) -> list[str]:
    """Give the statements that undo what the role set for itself; none where all is as it must be.

    None, because two databases of a server that are migrated at once must not both change a role.
    """
    rows = await connection.execute(
        text(
            "SELECT quote_ident(datname) AS database, setconfig FROM pg_db_role_setting"
            " LEFT JOIN pg_database ON pg_database.oid = setdatabase"
            " WHERE setrole = to_regrole(:role)"
        ),
        {"role": role},
    )
    found = {row.database: sorted(row.setconfig) for row in rows}
    statements = [
        f"ALTER ROLE {role} IN DATABASE {database} RESET ALL"
        for database in found
        if database is not None
    ]
    if found.get(None, []) != sorted(f"{name}={value}" for name, value in settings.items()):
        statements.append(f"ALTER ROLE {role} RESET ALL")
        statements += [f"ALTER ROLE {role} SET {name} = '{settings[name]}'" for name in settings]
    # Half of all connections: the other half is left to the others when one opens all it may.
    limit, has = (
        await connection.execute(
            text(
                "SELECT current_setting('max_connections')::int / 2, rolconnlimit"
                " FROM pg_roles WHERE rolname = :role"
            ),
            {"role": role},
        )
    ).one()
    if has != limit:
        statements.append(f"ALTER ROLE {role} CONNECTION LIMIT {limit}")
    return statements


async def _allowed(connection: AsyncConnection, statement: str) -> bool:
    """Run a statement; tell whether it was allowed."""
    try:
        async with connection.begin_nested():
            await connection.execute(text(statement))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        return False
    return True


async def _close_to_public(connection: AsyncConnection, *, superuser: bool) -> None:
    """Take from everybody what Tally's roles must not have: PostgreSQL can't take it from one."""
    # Of what is not the owner's own, this revokes nothing, and warns.
    revocations = ["CREATE ON SCHEMA public"]
    if superuser:
        revocations += [
            f"EXECUTE ON FUNCTION {function}"
            for function in await connection.scalars(text(_SHARED))
        ]
    for other in await connection.scalars(text(_OTHER_DATABASES)):
        revocations.append(f"CONNECT, TEMPORARY ON DATABASE {other}")
    for revocation in revocations:
        await _allowed(connection, f"REVOKE {revocation} FROM PUBLIC")
    for grant in await connection.scalars(text(_OWNER_WRITES)):
        await _allowed(connection, grant)


# `confirm` runs as the owner, who need not be the superuser that migrates.
_OWNER_WRITES: Final = """
    SELECT format('GRANT EXECUTE ON FUNCTION %s TO %s', f.oid::regprocedure, s.nspowner::regrole)
      FROM pg_proc AS f, pg_namespace AS s
     WHERE f.pronamespace = 'pg_catalog'::regnamespace AND f.proname = 'pg_logical_emit_message'
       AND s.nspname = 'tally' AND NOT has_function_privilege(s.nspowner, f.oid, 'EXECUTE')
"""
# Those that every server has. What else is on a server is not Tally's.
_OTHER_DATABASES: Final = """
    SELECT quote_ident(datname) FROM pg_database
     WHERE datname IN ('postgres', 'template1') AND datname <> current_database()
       AND has_database_privilege('public', oid, 'CONNECT')
"""


async def _open_to_public(connection: AsyncConnection) -> list[str]:
    """Say what everybody may still do, and so a stolen role."""
    create = await connection.scalar(
        text("SELECT has_schema_privilege('public', 'public', 'CREATE')")
    )
    functions = (await connection.scalars(text(_SHARED))).all()
    databases = (await connection.scalars(text(_OTHER_DATABASES))).all()
    return [
        said
        for said, still in (
            ("REVOKE CREATE ON SCHEMA public", create),
            (f"REVOKE CONNECT ON DATABASE {', '.join(databases)}", databases),
            ("REVOKE EXECUTE ON FUNCTION, for advisory locks and large objects", functions),
        )
        if still
    ]
