"""A session is measured by what its role is for: what it may do beyond that, and what it lacks."""

from typing import Final

import pytest
from sqlalchemy import text

from tally.ledger.failures import Unavailable
from tally.ledger.privileges import powers_beyond, require
from tally.ledger.roles import CALLS, ROLES

READ_ONLY: Final = text("SET TRANSACTION READ ONLY")


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_has_what_it_is_for_and_no_more(connect, role) -> None:
    async with connect(role).engine.connect() as session:
        await require(session, role)
        assert await powers_beyond(session, role) == (role, [])


@pytest.mark.parametrize("role", ROLES)
async def test_the_owner_has_everything(connect, role) -> None:
    async with connect("postgres").engine.connect() as session:
        await require(session, role)
        assert await powers_beyond(session, role) == ("postgres", ["everything, as the owner"])


async def test_each_function_beyond_is_named(connect) -> None:
    async with connect("tally_adder").engine.connect() as session:
        beyond = await powers_beyond(session, "tally_reset")
    assert beyond == ("tally_adder", sorted({*CALLS["tally_adder"]} - {*CALLS["tally_reset"]}))


@pytest.mark.parametrize(
    ("who", "role", "lacking"),
    [
        ("tally_adder", "tally_reset", "tally.reset, reset_total, undo_reset, confirm"),
        (
            "tally_reset",
            "tally_display",
            "tally.entry, tally.correction, tally.move, tally.stretch",
        ),
        (
            "tally_display",
            "tally_reset",
            "tally.reset, reset_total, undo_reset, confirm, free_total",
        ),
    ],
)
async def test_each_table_and_function_that_is_lacking_is_named(
    connect, who, role, lacking
) -> None:
    async with connect(who).engine.connect() as session:
        with pytest.raises(Unavailable, match=r"^the database refuses$") as refused:
            await require(session, role)
    assert refused.value.detail == f"no right to {lacking}"


async def test_a_ledger_that_is_not_there_is_lacking(connect, owner) -> None:
    await owner.execute("ALTER SCHEMA tally RENAME TO elsewhere")
    async with connect("tally_display").engine.connect() as session:
        with pytest.raises(Unavailable) as refused:
            await require(session, "tally_display")
    assert refused.value.detail.endswith("tally.stretch, behind_seconds")


@pytest.mark.parametrize("role", ["tally_adder", "tally_reset"])
async def test_who_changes_the_ledger_needs_a_server_that_takes_changes(connect, role) -> None:
    async with connect(role).engine.connect() as session:
        await session.execute(READ_ONLY)
        with pytest.raises(ConnectionError, match="takes no changes"):
            await require(session, role)


@pytest.mark.parametrize("role", ["tally_display", "tally_operator"])
async def test_who_reads_needs_none(connect, role) -> None:
    async with connect(role).engine.connect() as session:
        await session.execute(READ_ONLY)
        await require(session, role)
