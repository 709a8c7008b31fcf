"""PostgreSQL itself refuses what must not be stored, even to the owner with psql."""

from decimal import Decimal, Inexact

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.ledger.schema import AmountType, from_numeric, metadata, to_numeric

BAD_NUMBERS = ["NaN", "Infinity", "-Infinity", "0.0000000001", "1.0000000000"]
BAD_VALUES = [*BAD_NUMBERS, "1e18", "-1e18", "1000000000000000000.5"]
BAD_SUMS = [*BAD_NUMBERS, "1e29", "-1e29"]

STATEMENTS = {
    "entry.value": "INSERT INTO tally.entry VALUES (1, {}, 0, now())",
    "entry.sum_after": "INSERT INTO tally.entry VALUES (1, 0, {}, now())",
    "total.sum": "UPDATE tally.total SET sum = {}",
    "total.purged_sum": "UPDATE tally.total SET purged_sum = {}",
    "reset.sum": "INSERT INTO tally.reset (id, sum, count, cleared_from, cleared_through, at)"
    " VALUES (1, {}, 0, 0, 0, now())",
    "correction.value": "INSERT INTO tally.correction VALUES (1, 2, {}, 0, 1)",
    "correction.sum": "INSERT INTO tally.correction VALUES (1, 2, 0, {}, 1)",
    "answer.sum": "INSERT INTO tally.answer VALUES (gen_random_uuid(), gen_random_uuid(),"
    " 1, 1, {}, 1)",
}


@pytest.mark.parametrize("column", STATEMENTS)
async def test_a_number_that_is_none_or_too_long_is_refused(owner, column):
    for bad in BAD_VALUES if column.endswith("value") else BAD_SUMS:
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(STATEMENTS[column].format(f"'{bad}'"))


@pytest.mark.parametrize("column", STATEMENTS)
async def test_the_largest_numbers_are_kept(owner, column):
    digits = "9" * (18 if column.endswith("value") else 29)
    await owner.execute(STATEMENTS[column].format(f"'{digits}.999999999'"))


@pytest.mark.parametrize("column", STATEMENTS)
async def test_no_number_is_missing(owner, column):
    with pytest.raises(asyncpg.NotNullViolationError):
        await owner.execute(STATEMENTS[column].format("NULL"))


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("INSERT INTO tally.total DEFAULT VALUES", asyncpg.UniqueViolationError),
        ('INSERT INTO tally.total ("only") VALUES (false)', asyncpg.CheckViolationError),
        ('INSERT INTO tally.total ("only") VALUES (NULL)', asyncpg.NotNullViolationError),
        ('UPDATE tally.total SET "only" = false', asyncpg.CheckViolationError),
    ],
)
async def test_there_is_one_total(owner, statement, refusal):
    with pytest.raises(refusal):
        await owner.execute(statement)
    assert await owner.fetchval("SELECT count(*) FROM tally.total") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tally.total SET count = 1",
        "UPDATE tally.total SET last_id = 1",
        "UPDATE tally.total SET last_id = -1, count = -1",
        "UPDATE tally.total SET cleared_through = 1, count = -1",
        "UPDATE tally.total SET purged_through = 1",
        "UPDATE tally.total SET purged_through = -1",
        "INSERT INTO tally.entry VALUES (0, 0, 0, now())",
        "INSERT INTO tally.correction VALUES (0, 1, 0, 0, 1)",
        "INSERT INTO tally.correction VALUES (1, 1, 0, 0, 1)",
        "INSERT INTO tally.reset (id, sum, count, cleared_from, cleared_through, at)"
        " VALUES (1, 0, 1, 0, 0, now())",
        "INSERT INTO tally.reset (id, sum, count, cleared_from, cleared_through, at)"
        " VALUES (1, 0, -1, 1, 0, now())",
        "INSERT INTO tally.reset (id, sum, count, cleared_from, cleared_through, at, undone_at)"
        " VALUES (1, 0, 0, 0, 0, now(), now())",
        "INSERT INTO tally.reset (id, sum, count, cleared_from, cleared_through, at, undone_after)"
        " VALUES (1, 0, 0, 0, 0, now(), 0)",
    ],
)
async def test_rows_that_contradict_themselves_are_refused(owner, statement):
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(statement)


async def test_an_id_and_a_key_are_given_once(owner):
    for statement in (STATEMENTS["entry.value"].format(0), STATEMENTS["reset.sum"].format(0)):
        await owner.execute(statement)
        with pytest.raises(asyncpg.UniqueViolationError):
            await owner.execute(statement)


def test_no_column_for_amounts_is_a_float_or_rounds():
    for table in metadata.tables.values():
        for column in table.columns:
            if "sum" in column.name or column.name == "value":
                assert isinstance(column.type, AmountType), column


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_units_become_numbers_and_units_again(units):
    number = to_numeric(units)
    assert number * 10**9 == units or abs(units) >= 10**28  # beyond that, `*` itself rounds
    assert from_numeric(number) == units
    assert from_numeric(Decimal(f"{number:f}")) == units


def test_what_is_no_number_of_units_is_refused_and_not_rounded():
    with pytest.raises(Inexact):
        from_numeric(Decimal("0.0000000001"))
