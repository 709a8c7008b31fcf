"""A change waits for the total, but for nobody who only keeps it."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tally.ledger.change import cause_of, change
from tests.support.postgres import PATIENCE

ONE = 10**9


async def test_whoever_keeps_the_total_is_ended_after_two_seconds(ledger, writer, resets) -> None:
    await writer.add([ONE])
    keeper = await asyncpg.connect(ledger.url("tally_reset"))
    # So that it is nobody else who ends it.
    await keeper.execute("SET idle_in_transaction_session_timeout = 0")
    await keeper.execute("BEGIN; SELECT tally.reset_total(gen_random_uuid())")
    async with asyncio.timeout(PATIENCE):
        made, _ = await resets.reset()
    assert (made.sum, made.count) == (ONE, 1), "what the keeper did was undone"
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await keeper.execute("COMMIT")
    keeper.terminate()


async def test_whoever_only_waits_is_not(owner, writer, connect) -> None:
    await writer.add([ONE])
    call = text("SELECT sum FROM tally.reset_total(gen_random_uuid())")
    async with connect("tally_reset").engine.begin() as connection:
        async with owner.holding("tally.total"):
            waiting = asyncio.create_task(change(connection, call, {}))
            await owner.waited_for()
            await asyncio.sleep(1.5)  # longer than a wait lasts
        assert await waiting == (1,)


async def test_what_else_fails_is_not_tried_again(connect) -> None:
    async with connect("tally_reset").engine.connect() as connection:
        with pytest.raises(DBAPIError, match="division by zero"):
            await change(connection, text("SELECT 1 / 0"), {})


def test_an_error_may_have_no_cause() -> None:
    assert cause_of(DBAPIError("SELECT", {}, None)) is None
