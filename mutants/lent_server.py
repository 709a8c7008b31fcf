"""The server that is lent: a process of its own, which says what was left behind."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import asyncpg

from tally.embedded import postgres
from tests.support.postgres import make_template

_LEFT: Final = "SELECT datname FROM pg_database WHERE datname LIKE 'tally\\_test\\_%'"
# What a test may have left behind in the whole server.
_STATE: Final = """
    SELECT jsonb_build_array(
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY oid) FROM pg_authid AS r),
        (SELECT jsonb_agg(to_jsonb(s) ORDER BY s) FROM pg_db_role_setting AS s),
        (SELECT jsonb_agg(to_jsonb(f) ORDER BY f) FROM pg_file_settings AS f)
    )::text
"""


async def _clean_up(url: str) -> str:
    """Drop what databases are left; give the state of the server."""
    connection = await asyncpg.connect(url)
    try:
        for (name,) in await connection.fetch(_LEFT):
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        return str(await connection.fetchval(_STATE))
    finally:
        await connection.close()


def _lend(directory: Path) -> None:
    """Serve until the input ends; for each line, clean up."""
    directory.parent.mkdir(mode=0o755)
    with postgres.start(directory) as server:
        make_template(server)
        before = asyncio.run(_clean_up(server.admin_url))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            same = asyncio.run(_clean_up(server.admin_url)) == before
            sys.stdout.write("as before\n" if same else "changed\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _lend(Path(sys.argv[1]))
