"""What the database's functions promise to whoever calls them, in whatever order.

What nobody's service sends stands in test_stolen_roles.py.
"""

import asyncio
from decimal import Decimal

import asyncpg
import pytest

from tests.support.postgres import PATIENCE, with_database

FIRST, SECOND = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
ADD = "SELECT * FROM tally.add_batch($1, $2, $3, $4, $5, $6, $7)"
SETTLE = "SELECT * FROM tally.settle_batch($1, $2)"
RESET = "SELECT * FROM tally.reset_total($1)"
NOTHING_KEYED = (None, None, None, None)


@pytest.fixture
async def session(ledger):
    """Opens sessions of any role's."""
    opened = []

    async def open_session(role):
        opened.append(await asyncpg.connect(ledger.url(role)))
        return opened[-1]

    yield open_session
    for each in opened:
        each.terminate()


@pytest.fixture
async def adder(session):
    adder = await session("tally_adder")
    for writer in (FIRST, SECOND):
        await adder.execute(f"SELECT tally.register_writer('{writer}')")
    return adder


async def add(adder, writer, batch, values="{1}"):
    """Give the total before it as the function does, or None where the fence refused it."""
    row = await adder.fetchrow(ADD, writer, batch, values, *NOTHING_KEYED)
    return row and tuple(row)


async def settle(adder, writer, batch):
    row = await adder.fetchrow(SETTLE, writer, batch)
    return row and tuple(row)


NEVER = (None, None, None)


async def test_a_writer_s_batches_are_stored_in_the_order_of_their_numbers_and_once(adder, owner):
    for wrong in (-1, 0, 2, 3):
        assert await add(adder, FIRST, wrong) is None
    assert await add(adder, FIRST, 1, "{1,2}") == (0, 0, 0)
    for wrong in (0, 1, 3, 4):
        assert await add(adder, FIRST, wrong) is None
    assert await add(adder, SECOND, 1) == (2, 3, 2)
    assert await add(adder, FIRST, 2) == (3, 4, 3)
    assert await add(adder, "00000000-0000-4000-8000-000000000009", 1) is None
    assert await owner.fetchval("SELECT count(*) FROM tally.entry") == 4


async def test_a_batch_that_was_stored_is_settled_so_and_one_that_was_not_never_will_be(
    adder, owner, session
):
    assert await settle(adder, FIRST, 2) is None
    assert await add(adder, FIRST, 1, "{1,2}") == (0, 0, 0)
    await (await session("tally_reset")).execute("SELECT tally.reset_total(gen_random_uuid())")
    assert await add(adder, FIRST, 2) == (2, 0, 0)
    assert await add(adder, SECOND, 1) == (3, 1, 1)
    for _ in range(2):
        assert await settle(adder, FIRST, 2) == (2, 0, 0)
        assert await settle(adder, SECOND, 1) == (3, 1, 1)
        for wrong in (0, 1, 4):
            assert await settle(adder, FIRST, wrong) is None
    assert await settle(adder, FIRST, 3) == NEVER
    assert await add(adder, FIRST, 3) is None
    assert await settle(adder, FIRST, 3) == NEVER
    assert await settle(adder, SECOND, 1) == (3, 1, 1)
    assert await add(adder, FIRST, 4) == (4, 2, 2)
    assert await owner.fetchval("SELECT count(*) FROM tally.entry") == 5


async def test_who_registers_again_goes_on(adder):
    assert await add(adder, FIRST, 1) == (0, 0, 0)
    await adder.execute(f"SELECT tally.register_writer('{FIRST}')")
    assert await add(adder, FIRST, 2) == (1, 1, 1)


# --- Moments --------------------------------------------------------------------------------------

KEY = "11111111-1111-4111-8111-111111111111"
HAPPENINGS = {
    "an add": (
        "tally_adder",
        f"tally.add_batch('{SECOND}', 1, '{{1}}', NULL, NULL, NULL, NULL)",
        "added_at FROM tally.entry ORDER BY id DESC",
    ),
    "a reset": ("tally_reset", f"tally.reset_total('{KEY}')", "at FROM tally.reset"),
    "an undo": ("tally_reset", "tally.undo_reset(1)", "undone_at FROM tally.reset"),
    "a reset of nothing": (
        "tally_reset",
        f"tally.reset_total('{KEY}')",
        "at FROM tally.empty_reset",
    ),
}


@pytest.mark.parametrize("what", HAPPENINGS)
async def test_a_change_s_moment_is_that_at_which_it_had_the_total(adder, owner, session, what):
    """Not that at which its transaction or statement began: moments have the order of changes."""
    role, call, moment = HAPPENINGS[what]
    if what != "a reset of nothing":
        await add(adder, FIRST, 1)
    if what == "an undo":
        await owner.fetch(RESET, KEY)
    waiting = await session(role)
    await waiting.execute("BEGIN")
    await waiting.execute("SELECT 1")
    async with owner.connection.transaction():
        await owner.execute("SELECT FROM tally.total FOR UPDATE")
        changing = asyncio.create_task(waiting.execute(f"SELECT {call}"))
        await owner.waited_for()
        before = await owner.fetchval("SELECT clock_timestamp()")
    await changing
    await waiting.execute("COMMIT")
    assert await owner.fetchval(f"SELECT {moment} LIMIT 1") > before


# --- One change after another ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "call"),
    [
        ("tally_adder", f"tally.add_batch('{SECOND}', 1, '{{1}}', NULL, NULL, NULL, NULL)"),
        ("tally_reset", "tally.reset_total(gen_random_uuid())"),
        ("tally_reset", "tally.undo_reset(1)"),
    ],
)
async def test_a_change_waits_for_the_one_under_way_and_goes_on_from_there(
    adder, owner, session, drift, role, call
):
    assert await add(adder, FIRST, 1, "{1,2}") == (0, 0, 0)
    await owner.fetch(RESET, KEY)
    assert await add(adder, FIRST, 2) == (2, 0, 0)
    await adder.execute("BEGIN")
    assert await add(adder, FIRST, 3, "{5,6}") == (3, 1, 1)
    changing = asyncio.create_task((await session(role)).execute(f"SELECT {call}"))
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE {adder.get_server_pid()}"
    async with asyncio.timeout(PATIENCE):
        while not await owner.fetchval(f"{waiting} = ANY (pg_blocking_pids(pid))"):  # noqa: ASYNC110 - it can only be asked
            await asyncio.sleep(0.01)
    await adder.execute("COMMIT")
    await changing
    assert await drift() is None


# --- Resets ---------------------------------------------------------------------------------------


async def test_entries_whose_sum_is_nought_are_cleared(adder, owner, drift):
    await add(adder, FIRST, 1, "{1,-1}")
    reset = await owner.connection.fetchrow(RESET, KEY)
    assert (reset["id"], reset["sum"], reset["count"], reset["replayed"]) == (1, 0, 2, False)
    assert await drift() is None


async def test_what_was_cleared_right_after_the_purged_can_be_given_back(adder, owner, drift):
    for number in (1, 2):
        await add(adder, FIRST, number)
        await owner.fetch("SELECT tally.reset_total(gen_random_uuid())")
    await owner.execute(
        "UPDATE tally.total SET purged_through = 1, purged_sum = 1;"
        "DELETE FROM tally.entry WHERE id = 1"
    )
    with pytest.raises(asyncpg.PostgresError, match="is not the newest"):
        await owner.execute("SELECT tally.undo_reset(1)")
    undone = await owner.connection.fetchrow("SELECT * FROM tally.undo_reset(2)")
    assert (undone["id"], undone["sum"], undone["count"]) == (2, Decimal(1), 1)
    with pytest.raises(asyncpg.PostgresError, match="were purged") as caught:
        await owner.execute("SELECT tally.undo_reset(1)")
    assert caught.value.sqlstate == "TA002"
    assert await drift() is None


# --- Who keeps the total --------------------------------------------------------------------------

OLD = "SELECT clock_timestamp() - xact_start > '2 s' FROM pg_stat_activity WHERE pid = $1"
FREE = "SELECT tally.free_total()"


async def grown_old(owner, *sessions):
    for each in sessions:
        while not await owner.fetchval(OLD, each.get_server_pid()):  # noqa: ASYNC110 - it can only be asked
            await asyncio.sleep(0.01)


async def test_who_keeps_the_total_is_ended_after_two_seconds_and_not_before(adder, owner, session):
    keeping = await session("tally_reset")
    await owner.fetch(RESET, KEY)
    await keeping.execute("BEGIN")
    await keeping.fetch(RESET, KEY)  # a repeat locks the total too, and changes nothing
    pid = keeping.get_server_pid()
    began = await owner.fetchval("SELECT xact_start FROM pg_stat_activity WHERE pid = $1", pid)
    ended = 0
    while not ended:
        was_old = await owner.fetchval(OLD, pid)
        ended = await adder.fetchval(FREE)
        assert ended or not was_old
    assert ended == 1
    assert await owner.fetchval("SELECT clock_timestamp() - $1 > '2 s'", began)


async def test_who_keeps_no_total_or_waits_for_it_is_spared(adder, owner, session):
    elsewhere, waiting = await session("tally_adder"), await session("tally_reset")
    await elsewhere.execute("BEGIN")
    await elsewhere.execute(f"SELECT tally.register_writer('{KEY}')")
    async with owner.connection.transaction():
        await owner.execute("SELECT FROM tally.total FOR UPDATE")
        resetting = asyncio.create_task(waiting.fetch(RESET, KEY))
        await owner.waited_for()
        looking = await session("postgres")
        await grown_old(looking, elsewhere, waiting)
        assert await adder.fetchval(FREE) == 0
    assert len(await resetting) == 1
    await elsewhere.execute("COMMIT")


async def test_who_keeps_the_total_of_another_ledger_is_spared(adder, owner, ledger):
    """Where one database is a copy of another, even the numbers of their tables are the same."""
    await owner.execute("CREATE DATABASE tally_test_copy TEMPLATE tally_template")
    try:
        copy = with_database(ledger.url("tally_reset"), "tally_test_copy")
        keeping = await asyncpg.connect(copy)
        await keeping.execute("BEGIN")
        await keeping.fetch(RESET, KEY)
        await grown_old(owner, keeping)
        assert await adder.fetchval(FREE) == 0
        await keeping.execute("COMMIT")
        await keeping.close()
    finally:
        await owner.execute("DROP DATABASE tally_test_copy WITH (FORCE)")
