"""Exporting every current entry as CSV or as lines of JSON (NDJSON)."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from tally.files.options import FileFormat
from tally.ledger.age import read_age
from tally.ledger.database import Database
from tally.ledger.failures import Unavailable, unavailable_if_lost
from tally.ledger.reader import Bounds

CSV_HEADER: Final = b"id,value,sum_after,added_at\n"
# Entries that one statement reads: less than a megabyte of lines.
PAGE: Final = 8192
_ENTRIES: Final = """
    SELECT id, trim_scale(value) AS value, trim_scale(sum_after) AS sum_after,
           to_char(added_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS added_at
      FROM tally.entry WHERE id > {after} AND id <= {through} ORDER BY id
"""
_CURRENT: Final = "SELECT cleared_through, last_id FROM tally.total"
# Nothing in such a line has to be escaped, in JSON or in COPY's text format.
_NDJSON: Final = f"""
    SELECT format('{{{{"id":%s,"value":"%s","sum_after":"%s","added_at":"%s"}}}}',
                  id, value, sum_after, added_at)
      FROM ({_ENTRIES}) AS current
"""  # noqa: S608 - of constants


async def export(
    database: Database,
    form: FileFormat,
    write: Callable[[bytes], Awaitable[None]],
    begin: Callable[[float | None], None] = lambda behind: None,
    bounds: Bounds | None = None,
) -> None:
    """Write every current entry, or those of `bounds`; oldest first.

    Before the first write `begin` is told how many seconds that moment may be behind, at most, or
    None where the ledger itself is read.

    Entries never change and their ids have no gaps, so those up to the last id of one moment are
    the moment's entries, whenever they are read: each page is a statement of its own, and a reader
    that takes hours keeps no snapshot open. Memory stays bounded by a page. Raises `Unavailable`,
    which after the first write means that the rest is missing, and whatever `write` raises.
    """
    query, copied_as = (_ENTRIES, "csv") if form == "csv" else (_NDJSON, "text")
    connection = await _read(database.connect())
    try:
        if bounds is None:
            age = await _read(read_age(connection.fetchval))
            cleared, last = await _read(connection.fetchrow(_CURRENT))
            bounds = Bounds(cleared, last, age.seconds)
        after, last = bounds.after, bounds.through
        begin(bounds.behind)
        if form == "csv":
            await write(CSV_HEADER)
        while after < last:
            through = min(after + PAGE, last)
            page = bytearray()

            async def keep(data: bytes, page: bytearray = page) -> None:
                page.extend(data)

            status = await _read(
                connection.copy_from_query(
                    query.format(after=after, through=through), output=keep, format=copied_as
                )
            )
            if status != f"COPY {through - after}":
                # Or `bounds` are of another server than this one, which has yet to replay them.
                raise Unavailable("entries were purged while they were exported, or are late here")
            await write(bytes(page))
            after = through
    finally:
        connection.terminate()


async def _read(reading: Awaitable[Any]) -> Any:  # noqa: ANN401 - asyncpg is untyped
    with unavailable_if_lost():
        return await reading
