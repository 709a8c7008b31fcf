"""Reads a ledger once nothing changes it any more, with the opinion of `tally audit`."""

from typing import Any, Final

import asyncpg

from faults.history import FinalState
from faults.recorder import Recorder
from faults.system import run_tally

_ENTRIES: Final = "SELECT id, value::text, sum_after::text FROM tally.entry ORDER BY id"
_TOTAL: Final = "SELECT sum::text, count, last_id, cleared_through FROM tally.total"
_RESETS: Final = """
SELECT id, sum::text, count, cleared_from, cleared_through, at::text, undone_at::text, undone_after
  FROM tally.reset ORDER BY id
"""


async def record_final_state(url: str, recorder: Recorder) -> str:
    """Audit and read the ledger as its owner, by `url`; return PostgreSQL's version."""
    await run_tally(url, "audit", recorder)
    connection: Any = await asyncpg.connect(url)
    try:
        recorder.record(
            FinalState(
                entries=[tuple(row) for row in await connection.fetch(_ENTRIES)],
                total=dict(await connection.fetchrow(_TOTAL)),
                resets=[dict(row) for row in await connection.fetch(_RESETS)],
            )
        )
        version: str = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return version
