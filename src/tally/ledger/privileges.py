"""What the session of a service may do, measured by what its role is for."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.ledger.failures import Unavailable
from tally.ledger.roles import AGE, CALLS, READS


async def powers_beyond(connection: AsyncConnection, role: str) -> tuple[str, list[str]]:
    """Tell who this session is, and what of the ledger he may change that `role` may not."""
    name, owner, functions = (
        await connection.execute(
            text(
                "SELECT current_user,"
                " (SELECT pg_has_role(nspowner, 'USAGE')"
                " FROM pg_namespace WHERE nspname = 'tally'),"
                " ARRAY(SELECT proname::text FROM pg_proc"
                " WHERE pronamespace = to_regnamespace('tally')"
                " AND has_function_privilege(oid, 'EXECUTE') ORDER BY 1)"
            )
        )
    ).one()
    beyond = [function for function in functions if function not in CALLS[role]]
    return name, ["everything, as the owner"] if owner else beyond


async def require(connection: AsyncConnection, role: str) -> None:
    """Raise `Unavailable` where this session may not do what `role` is for.

    Raises `ConnectionError` where it must change the ledger and its server takes no changes: after
    a failover another may.
    """
    lacking, read_only = (
        await connection.execute(
            text(
                "SELECT (SELECT string_agg(name, ', ') FROM ("
                "  SELECT t AS name FROM unnest(CAST(:tables AS text[])) AS t"
                "   WHERE NOT coalesce(has_table_privilege(to_regclass(t), 'SELECT'), false)"
                "  UNION ALL SELECT f FROM unnest(CAST(:functions AS text[])) AS f"
                "   WHERE NOT EXISTS (SELECT FROM pg_proc WHERE proname = f"
                "     AND pronamespace = to_regnamespace('tally')"
                "     AND has_function_privilege(oid, 'EXECUTE'))) AS lacking),"
                " current_setting('transaction_read_only') = 'on'"
            ),
            {"tables": READS[role].split(", "), "functions": list(CALLS[role])},
        )
    ).one()
    if lacking:
        raise Unavailable("the database refuses", detail=f"no right to {lacking}")
    if read_only and CALLS[role] != (AGE,):
        raise ConnectionError("the database takes no changes")
