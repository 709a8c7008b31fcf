"""Exporting every current entry as CSV or as lines of JSON (NDJSON)."""

from collections.abc import Awaitable, Callable
from typing import Final, Literal

from tally.ledger.database import Database, Unavailable, is_connection_loss

FileFormat = Literal["csv", "ndjson"]

CSV_HEADER: Final = b"id,value,sum_after,added_at\n"
_ENTRIES: Final = """
    SELECT id, trim_scale(value) AS value, trim_scale(sum_after) AS sum_after,
           to_char(added_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS added_at
      FROM tally.entry WHERE id > (SELECT cleared_through FROM tally.total) ORDER BY id
"""
# Nothing in such a line has to be escaped, in JSON or in COPY's text format.
_NDJSON: Final = f"""
    SELECT format('{{"id":%s,"value":"%s","sum_after":"%s","added_at":"%s"}}',
                  id, value, sum_after, added_at)
      FROM ({_ENTRIES}) AS current
"""  # noqa: S608 - of constants


async def export(
    database: Database, form: FileFormat, write: Callable[[bytes], Awaitable[None]]
) -> None:
    """Write every current entry, oldest first, as of one moment.

    PostgreSQL makes the lines and `write` sets the pace, so memory stays bounded. Raises
    `Unavailable`, which after the first write means that the rest is missing, and whatever
    `write` raises.
    """
    failed: Exception | None = None

    async def write_or_note(data: bytes) -> None:
        nonlocal failed
        try:
            await write(data)
        except Exception as error:
            failed = error
            raise

    connection = None
    try:
        connection = await database.connect()
        if form == "csv":
            await write_or_note(CSV_HEADER)
            await connection.copy_from_query(_ENTRIES, output=write_or_note, format="csv")
        else:
            await connection.copy_from_query(_NDJSON, output=write_or_note, format="text")
    except Exception as error:
        if failed is not None:
            raise failed from None
        if is_connection_loss(error):
            raise Unavailable("the database went away") from error
        raise
    finally:
        if connection is not None:
            connection.terminate()
