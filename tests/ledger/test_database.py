"""Work is tried again while the database is away, and says whether anything was changed."""

import asyncio
import random
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from urllib.parse import quote

import asyncpg
import pytest
from asyncpg.transaction import Transaction
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tally.ledger import database as module
from tally.ledger.database import GRACE, Database, SchemaOutdated, pauses_between_tries
from tally.ledger.failures import Unavailable

PID = text("SELECT pg_backend_pid()")
GONE = ConnectionResetError("gone")


@pytest.fixture
def told() -> list[tuple[bool, str]]:
    """What was said of the connection."""
    return []


@pytest.fixture
def database(connect, told) -> Database:
    return connect("tally_display", on_connection=lambda *news: told.append(news))


@pytest.fixture
def now(monkeypatch) -> SimpleNamespace:
    """The moment, for what a database remembers."""
    moment = SimpleNamespace(seconds=1000.0)
    clock = SimpleNamespace(monotonic=lambda: moment.seconds)
    monkeypatch.setattr(module, "time", clock)
    return moment


async def pid(connection) -> int:
    return await connection.scalar(PID)


@pytest.mark.parametrize(
    ("timeout", "pauses"),
    [(5.0, [0.1, 0.2, 0.4, 0.8, 1.25, 1.25]), (0.1, [0.1, 0.1, 0.1, 0.1, 0.1, 0.1])],
)
def test_pauses_grow_to_a_quarter_of_the_time_and_differ(monkeypatch, timeout, pauses) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: {(0.5, 1.0): 1.0}[least, most])
    assert [*islice(pauses_between_tries(timeout), 6)] == pytest.approx(pauses)


def test_a_try_may_outlast_its_time_by_less_than_a_second() -> None:
    assert 0 < GRACE < 1


async def test_no_more_than_four_connections_are_open(database) -> None:
    at_once = most = 0

    async def work(connection) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(at_once, most)
        await connection.scalar(text("SELECT pg_sleep(0.2)"))
        at_once -= 1

    await asyncio.gather(*(database.run(work) for _ in range(9)))
    assert most == 4


async def test_the_one_used_last_is_used_next(database) -> None:
    await asyncio.gather(*(database.run(pid) for _ in range(3)))
    assert len({await database.run(pid) for _ in range(3)}) == 1


async def test_an_error_tells_nobody_what_was_sent(database) -> None:
    async def work(connection) -> None:
        await connection.execute(text("SELECT 1 / 0, CAST(:it AS text)"), {"it": "a secret"})

    with pytest.raises(DBAPIError) as raised:
        await database.run(work)
    assert "secret" not in str(raised.value)


async def test_it_names_where_it_connected_to(database) -> None:
    await database.run(pid)
    folder, port = database.host
    assert f"host={quote(folder, safe='')}&port={port}" in database.url


async def test_it_is_told_what_the_server_warns_of(connect, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(Database, "_note_warning", lambda _self, _from, it: seen.append(it.message))
    connection = await connect("tally_display").connect()
    await connection.execute("DO $$ BEGIN RAISE WARNING 'look'; END $$")
    await connection.close()
    assert seen == ["look"]


async def test_a_commit_that_did_not_wait_is_no_commit(database) -> None:
    before = database.ended_waits
    assert before == 0
    database._note_warning(None, SimpleNamespace(server_source_function="exec_stmt_raise"))
    database.require_waited(before)
    database._note_warning(None, SimpleNamespace(server_source_function="SyncRepWaitForLSN"))
    with pytest.raises(ConnectionError, match="was ended"):
        database.require_waited(before)
    database.require_waited(database.ended_waits)


async def test_a_loss_and_the_return_are_told_once(database, told) -> None:
    database.note_reached()
    for _ in range(2):
        database.note_lost(GONE)
    for _ in range(2):
        database.note_reached()
    assert told == [(False, "ConnectionResetError: gone"), (True, "")]


async def test_what_fails_for_a_connection_s_sake_is_tried_again(database, told) -> None:
    tries = []

    async def work(connection) -> int:
        tries.append(await pid(connection))
        if len(tries) < 3:
            raise GONE
        return len(tries)

    assert await database.run(work) == 3
    assert len({*tries}) == 3, "no lost connection is used again"
    assert told == [(False, "ConnectionResetError: gone"), (True, "")]


async def test_nothing_more_is_asked_of_a_connection_that_may_be_lost(
    database, monkeypatch
) -> None:
    """A server that hangs would be waited for."""
    await database.run(pid)  # SQLAlchemy's first look at a server
    asked = []

    async def roll_back(transaction) -> None:
        asked.extend(["to roll back"] * (not transaction._connection.is_closed()))

    async def close(connection, **_options) -> None:
        asked.extend(["to take leave"] * (not connection.is_closed()))

    monkeypatch.setattr(Transaction, "rollback", roll_back)
    monkeypatch.setattr(asyncpg.Connection, "close", close)

    tries = []

    async def work(connection) -> None:
        tries.append(await pid(connection))
        if len(tries) == 1:
            raise GONE

    await database.run(work)
    assert asked == []


async def test_a_connection_lost_at_its_commit_is_not_used_again(database, monkeypatch) -> None:
    commit = Transaction.commit
    tries = []

    async def fail_once(transaction) -> None:
        if len(tries) == 1:
            raise GONE
        await commit(transaction)

    async def work(connection) -> None:
        tries.append(await pid(connection))

    monkeypatch.setattr(Transaction, "commit", fail_once)
    await database.run(work)
    assert len({*tries}) == 2


async def test_between_two_tries_there_is_a_pause(database, monkeypatch) -> None:
    pauses, tries = [], []

    def between_tries(timeout: float) -> Iterator[float]:
        while True:
            pauses.append(timeout)
            yield 0.01

    async def work(connection) -> None:
        tries.append(connection)
        if len(tries) < 4:
            raise GONE

    monkeypatch.setattr(module, "pauses_between_tries", between_tries)
    await database.run(work)
    assert pauses == [database.timeout] * 3


@pytest.mark.parametrize("error", [KeyError("a bug"), asyncio.CancelledError()])
async def test_what_can_t_be_mended_is_raised_at_once(database, told, error) -> None:
    tries = []

    async def work(connection) -> None:
        tries.append(await pid(connection))
        raise error

    with pytest.raises(type(error)):
        await database.run(work)
    assert told == []
    # What was asked on a connection may still be answered there, if it was not waited for.
    assert (await database.run(pid) in tries) == isinstance(error, KeyError)


async def refused(connection) -> None:
    await connection.execute(text("DELETE FROM tally.entry"))


async def test_a_refusal_is_raised_at_once_and_changed_nothing(database, told) -> None:
    with pytest.raises(Unavailable, match="the database refuses") as raised:
        await database.run(refused, changes=True)
    assert raised.value.outcome_known
    assert [connected for connected, _ in told] == [False]


@pytest.mark.parametrize("changes", [False, True])
async def test_whose_outcome_is_unknown_is_told_so(connect, changes) -> None:
    async def work(connection) -> None:
        raise GONE

    with pytest.raises(Unavailable, match="did not answer in time") as raised:
        await connect("tally_display", 0.3).run(work, changes=changes)
    assert raised.value.outcome_known == (not changes)


@pytest.mark.parametrize("changes", [False, True])
async def test_a_refusal_after_a_loss_leaves_the_outcome_open(database, changes) -> None:
    tries = []

    async def work(connection) -> None:
        tries.append(connection)
        if len(tries) == 1:
            raise GONE
        await refused(connection)

    with pytest.raises(Unavailable) as raised:
        await database.run(work, changes=changes)
    assert raised.value.outcome_known == (not changes)


async def test_a_change_that_was_undone_has_a_known_outcome(connect) -> None:
    async def work(connection) -> None:
        raise asyncpg.PostgresError.new({"C": "40001", "V": "ERROR", "M": "try again"})

    with pytest.raises(Unavailable) as raised:
        await connect("tally_display", 0.3).run(work, changes=True)
    assert raised.value.outcome_known


async def test_a_connection_lost_while_idle_is_seen_before_a_change_begins(connect, owner) -> None:
    database = connect("tally_display", 0.5)
    await database.run(pid)
    async with owner.outage():
        with pytest.raises(Unavailable) as raised:
            await database.run(pid, changes=True)
    assert raised.value.outcome_known


async def test_a_change_whose_wait_was_ended_is_made_again(database, told) -> None:
    tries = []

    async def work(connection) -> int:
        tries.append(connection)
        database.ended_waits += len(tries) == 1
        return len(tries)

    assert await database.run(work, changes=True) == 2
    assert [connected for connected, _ in told] == [False, True]
    database.ended_waits += 1
    assert await database.run(work) == 3, "a read waits for nobody"


async def test_a_try_may_end_after_the_time(connect, monkeypatch) -> None:
    monkeypatch.setattr(module, "GRACE", 60)
    ended = asyncio.Event()

    async def work(connection) -> str:
        await ended.wait()
        return "done"

    database = connect("tally_display")
    await database.run(pid)
    database.timeout = 0.01
    running = asyncio.create_task(database.run(work))
    await asyncio.sleep(0.2)
    ended.set()
    assert await running == "done"


async def test_services_are_not_ready_after_a_change_that_failed(database, now) -> None:
    await database.check()
    database.note_lost(GONE, change=True)
    now.seconds += 9.5
    with pytest.raises(Unavailable, match="took no change a moment ago"):
        await database.check()
    now.seconds += 0.5
    await database.check()


@pytest.mark.parametrize("changes", [False, True])
async def test_a_change_that_succeeds_makes_them_ready(database, now, changes) -> None:
    database.note_lost(GONE, change=True)
    await database.run(pid, changes=changes)
    if not changes:
        with pytest.raises(Unavailable):
            await database.check()
        database.note_reached()
        with pytest.raises(Unavailable):
            await database.check()
        database.note_reached(change=True)
    await database.check()


async def test_a_read_that_failed_says_nothing_of_changes(database, now) -> None:
    database.note_lost(GONE)
    await database.check()


@pytest.mark.parametrize("changes", [False, True])
async def test_a_change_that_is_tried_again_makes_them_unready_meanwhile(
    database, now, changes
) -> None:
    tries = []

    async def work(connection) -> None:
        tries.append(connection)
        if len(tries) == 1:
            raise GONE
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await database.run(work, changes=changes)
    if changes:
        with pytest.raises(Unavailable):
            await database.check()
    else:
        await database.check()


async def test_a_schema_that_this_release_has_outgrown_is_none_to_serve(connect, owner) -> None:
    database = connect("postgres")
    await database.check()
    await owner.execute("UPDATE tally.alembic_version SET version_num = '0001'")
    with pytest.raises(SchemaOutdated, match="the schema is at 0001, this release needs"):
        await database.check()
    await owner.execute("UPDATE tally.alembic_version SET version_num = '9999'")
    await database.check()
    await owner.execute("DROP SCHEMA tally CASCADE")
    with pytest.raises(SchemaOutdated, match="at None"):
        await database.check()
