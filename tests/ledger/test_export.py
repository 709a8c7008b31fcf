"""Exports: exact, oldest first, of one moment, and at the pace of whoever reads."""

import asyncio
import csv
import io
import json
import math

import pytest

from tally.amount import format_amount
from tally.ledger.database import Unavailable
from tally.ledger.export import CSV_HEADER, PAGE, export
from tally.ledger.reader import Bounds
from tests.support.postgres import PATIENCE

ONE = 10**9


@pytest.fixture
def database(connect):
    return connect("tally_display")


async def read(database, form):
    """The bytes of an export, and in how many pieces they came."""
    chunks = []

    async def write(chunk):
        chunks.append(chunk)

    await export(database, form, write)
    return b"".join(chunks), len(chunks)


async def test_an_empty_ledger_exports_nothing(database):
    assert await read(database, "csv") == (CSV_HEADER, 1)
    assert await read(database, "ndjson") == (b"", 0)


@pytest.mark.parametrize("bounds", [None, Bounds(0, 1, behind=2.5)])
async def test_how_old_it_is_is_told_before_anything_is_written(database, writer, bounds):
    await writer.add([ONE])
    told = []

    async def write(chunk):
        told.append("written")

    await export(database, "csv", write, told.append, bounds)
    assert told == [bounds and 2.5, "written", "written"]


async def test_cleared_entries_are_not_exported(database, writer, resets):
    await writer.add([ONE] * 3)
    await resets.reset()
    assert (await read(database, "csv"))[0] == CSV_HEADER
    await writer.add([ONE])
    assert json.loads((await read(database, "ndjson"))[0])["id"] == 4


async def test_lines_are_exact_and_oldest_first(database, writer, owner):
    values = [12_500_000_000, -3 * ONE, 1, 10**27 - 1, 1000 * ONE, 0]
    await writer.add(values)
    await owner.execute("UPDATE tally.entry SET added_at = '2026-01-02 03:04:05.000006+02'")
    at = "2026-01-02T01:04:05.000006Z"
    running = 0
    lines = ["id,value,sum_after,added_at"]
    objects = []
    for number, value in enumerate(values, start=1):
        running += value
        shown, total = format_amount(value), format_amount(running)
        lines.append(f"{number},{shown},{total},{at}")
        objects.append(
            f'{{"id":{number},"value":"{shown}","sum_after":"{total}","added_at":"{at}"}}'
        )
    assert (await read(database, "csv"))[0].decode() == "\n".join(lines) + "\n"
    assert (await read(database, "ndjson"))[0].decode() == "\n".join(objects) + "\n"


SNAPSHOTS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE usename = 'tally_display' AND (backend_xmin IS NOT NULL OR state <> 'idle')
"""


async def test_an_export_is_of_one_moment_and_a_slow_reader_keeps_no_snapshot(
    database, writer, resets, owner
):
    await writer.add([ONE] * 10_000)
    await writer.add([ONE] * 10_000)
    chunks = []

    async def write_slowly(chunk):
        chunks.append(chunk)
        if len(chunks) == 2:
            await writer.add([ONE] * 10_000)
            await resets.reset()
        assert await owner.fetchval(SNAPSHOTS) == 0

    await export(database, "csv", write_slowly)
    assert len(chunks) == 1 + math.ceil(20_000 / PAGE)
    assert max(map(len, chunks)) < 1_000_000
    rows = list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 20_001)]


async def test_without_a_database_it_is_unavailable(database, owner):
    async with owner.outage():
        with pytest.raises(Unavailable):
            await read(database, "csv")


async def test_entries_purged_during_an_export_are_not_passed_over(database, writer, owner):
    await writer.add([ONE] * 10_000)

    async def write(chunk):
        if chunk == CSV_HEADER:
            await owner.execute("DELETE FROM tally.entry WHERE id = 5000")

    with pytest.raises(Unavailable, match="purged"):
        await export(database, "csv", write)


async def test_an_export_cut_short_says_so(database, writer, owner):
    await writer.add([ONE] * 10_000)
    await writer.add([ONE] * 10_000)

    async def write(chunk):
        if chunk != CSV_HEADER:
            await owner.cut()

    with pytest.raises(Unavailable):
        await export(database, "csv", write)


async def test_an_export_that_nobody_reads_to_the_end_leaves_no_connection(database, writer, owner):
    await writer.add([ONE] * 10_000)

    async def hang_up(chunk):
        raise KeyError(chunk)

    with pytest.raises(KeyError):
        await export(database, "csv", hang_up)
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tally_display'"
    async with asyncio.timeout(PATIENCE):
        while await owner.fetchval(query):  # noqa: ASYNC110 - PostgreSQL has no event
            await asyncio.sleep(0.01)
