"""Whatever is read from a standby is no older than it says, however much it replays meanwhile."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from tally.ledger.age import read_age
from tally.ledger.database import Database
from tally.ledger.export import CSV_HEADER, export
from tally.ledger.reader import Range, Reader
from tally.ledger.writer import Writer
from tests.support.command import run
from tests.support.distribution_postgres import serving, standby_of
from tests.support.postgres import PATIENCE

Found = tuple[int, float | None]
# Whoever asks how old the standby is sees it catch up first: the moment that is worst for a reader
# who had looked before.
CATCHES_UP = """
    ALTER FUNCTION tally.behind_seconds() RENAME TO behind_seconds_now;
    CREATE FUNCTION tally.behind_seconds() RETURNS double precision
    LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        PERFORM pg_wal_replay_resume();
        WHILE pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn() LOOP
            PERFORM pg_sleep(0.001);
        END LOOP;
        RETURN tally.behind_seconds_now();
    END $$
"""
TODAY = Range(since=datetime(2026, 1, 1, tzinfo=UTC))


def at(monkeypatch, seconds: float) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: seconds)


async def test_what_was_asked_for_is_older_by_all_that_passed_since(monkeypatch) -> None:
    async def fetch(_statement: str) -> float:
        at(monkeypatch, 103.0)
        return 2.0

    at(monkeypatch, 100.0)
    age = await read_age(fetch)
    assert age.seconds == 5.0
    at(monkeypatch, 110.0)
    assert age.seconds == 12.0


async def test_what_comes_from_the_ledger_itself_has_no_age() -> None:
    async def fetch(_statement: str) -> None: ...

    assert (await read_age(fetch)).seconds is None


async def of_total(reader: Reader, database: Database) -> Found:
    total = await reader.total()
    return total.last_id, total.behind


async def of_overview(reader: Reader, database: Database) -> Found:
    total = (await reader.overview()).total
    return total.last_id, total.behind


async def of_history(reader: Reader, database: Database) -> Found:
    now, history, _ = await reader.history(TODAY)
    return history.points[-1].id, now.behind


async def of_changes(reader: Reader, database: Database) -> Found:
    now, rows = await reader.changes(None, 5)
    return rows.through, now.behind


async def of_page(reader: Reader, database: Database) -> Found:
    page = await reader.page(None, 5)
    return page.entries[0].id, page.behind


async def of_page_of_a_range(reader: Reader, database: Database) -> Found:
    page = await reader.page(None, 5, wanted=TODAY)
    return page.entries[0].id, page.behind


async def of_bounds(reader: Reader, database: Database) -> Found:
    bounds = await reader.bounds(TODAY)
    return bounds.through, bounds.behind


async def of_export(reader: Reader, database: Database) -> Found:
    lines, ages = [], []

    async def write(block: bytes) -> None:
        lines.extend(block.splitlines(keepends=True))

    await export(database, "csv", write, ages.append)
    assert lines[0] == CSV_HEADER
    return int(lines[-1].partition(b",")[0]), ages[0]


WAYS: list[Callable[[Reader, Database], Awaitable[Found]]] = [
    *(of_total, of_overview, of_history, of_changes),
    *(of_page, of_page_of_a_range, of_bounds, of_export),
]


async def until(connection: asyncpg.Connection, condition: str) -> None:
    while not await connection.fetchval(condition):
        pass


@pytest.fixture(scope="module")
def pair():
    with serving() as primary, standby_of(primary) as standby:
        assert run("migrate", TALLY_DATABASE_URL=primary).returncode == 0
        yield primary, standby


async def test_what_a_standby_replays_while_it_is_read_makes_nothing_younger(pair) -> None:
    primary, standby = [await asyncpg.connect(url) for url in pair]
    await primary.execute(CATCHES_UP)
    ledger, database = [Database(url, timeout=PATIENCE) for url in pair]
    writer, reader = Writer(ledger, queue_limit=1), Reader(database)
    writer.start()
    for number, way in enumerate(WAYS):
        await writer.add([1])
        written = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
        await until(standby, f"SELECT pg_last_wal_replay_lsn() >= '{written}'")
        await standby.execute("SELECT pg_wal_replay_pause()")
        await until(standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'")
        paused = time.monotonic()
        await writer.add([1])
        written = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
        await until(standby, f"SELECT pg_last_wal_receive_lsn() >= '{written}'")
        least = time.monotonic() - paused
        last_id, behind = await way(reader, database)
        assert behind is not None
        assert last_id == 2 * number + 2 or behind >= least, way.__name__
    await writer.close(grace=1)
    await ledger.close()
    await database.close()
    for connection in (primary, standby):
        await connection.close()
