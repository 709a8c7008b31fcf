"""Reads what a ledger holds when all has come to rest, with `tally audit`'s own opinion of it."""

from typing import Any, Final

import asyncpg

from faults.history import FinalState
from faults.stack import run_tally

_ENTRIES: Final = "SELECT id, value::text, sum_after::text FROM tally.entry ORDER BY id"
_TOTAL: Final = "SELECT sum::text, count, last_id, cleared_through FROM tally.total"
_RESETS: Final = """
SELECT id, sum::text, count, cleared_from, cleared_through, at::text, undone_at::text, undone_after
  FROM tally.reset ORDER BY id
"""


async def inspect(url: str) -> FinalState:
    """Audit and read a ledger as its owner, who comes by `url`; nobody may change it meanwhile."""
    audit_status, audit_output = await run_tally(url, "audit")
    connection: Any = await asyncpg.connect(url)
    try:
        return FinalState(
            entries=[tuple(row) for row in await connection.fetch(_ENTRIES)],
            total=dict(await connection.fetchrow(_TOTAL)),
            resets=[dict(row) for row in await connection.fetch(_RESETS)],
            audit_status=audit_status,
            audit_output=audit_output,
        )
    finally:
        await connection.close()


async def server_version(url: str) -> str:
    """Ask PostgreSQL which it is."""
    connection: Any = await asyncpg.connect(url)
    try:
        version: str = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return version
