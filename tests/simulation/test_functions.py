"""The model is PostgreSQL: the same calls, in sessions in each other's way, end the same."""

import random
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from simulation.functions import Functions
from simulation.state import TOTAL
from tests.simulation.both import ADD, RECALL, REGISTER, connect, first, literal, model, outcome
from tests.simulation.planted import TakesAnyLaterBatch

# In every second one, the sum is about to leave its range.
SEEDS = range(8)
CALLS = 250
WRITERS = [uuid.UUID(int=number) for number in range(1, 4)]
IDS = [f"{number:032x}" for number in range(1, 9)]
VALUES = ["1e-9", "12500000000e-9", "-3", "0.25", "999999999999999999", "1e18"]
NEARLY_TOO_MUCH = Decimal(99999999999999999999999999998)

EMPTY = (
    "TRUNCATE tally.entry, tally.reset, tally.empty_reset, tally.answer, tally.writer, tally.total,"
    " tally.correction, tally.move, tally.stretch;"
    "INSERT INTO tally.total DEFAULT VALUES"
)
TABLES = {
    "entry": "SELECT id, value, sum_after FROM tally.entry",
    "total": "SELECT true, sum, count, last_id, cleared_through FROM tally.total",
    "writer": "SELECT id, batch, before_id, before_sum, before_count FROM tally.writer",
    "answer": "SELECT key, body, first_id, last_id, sum, count FROM tally.answer",
    "reset": "SELECT id, sum, count, cleared_from, cleared_through, undone_after FROM tally.reset",
    "empty_reset": "SELECT key FROM tally.empty_reset",
}


class Caller:
    """Draws calls, most of which an adder or a reset would make."""

    def __init__(self, seed, server):
        self.random = random.Random(seed)
        self._server = server

    def call(self):
        return self.random.choices(
            [self.register, self.add, self.settle, self.recall, self.reset, self.undo],
            [1, 8, 2, 2, 1, 2],
        )[0]()

    def register(self):
        return REGISTER, self.random.choice(WRITERS)

    def batch(self):
        """The next batch of a writer, mostly, or one beside it."""
        writer = self.random.choice(WRITERS)
        row = self._server.rows.get(("writer", writer))
        newest = 0 if row is None else row.batch
        return writer, newest + self.random.choice((0, 1, 1, 1, 1, 2))

    def add(self):
        values = self.random.choices(VALUES, [6, 6, 6, 6, 3, 1], k=self.random.randint(1, 4))
        return ADD, *self.batch(), literal(values), *map(literal, self.keyed(len(values)))

    def keyed(self, size):
        """Keys with ranges, of which some overlap or lie beyond the batch."""
        keys, firsts, lasts, end = [], [], [], 0
        while end < size and self.random.random() < 0.5:
            first = end + self.random.choice((1, 1, 1, 0))
            end = max(first, end + self.random.choice((1, 1, 2)))
            keys.append(self.random.choice(IDS))
            firsts.append(str(first))
            lasts.append(str(end))
        bodies = [self.random.choice(IDS) for _ in keys]
        return keys, bodies, firsts, lasts

    def settle(self):
        return "SELECT * FROM tally.settle_batch($1, $2)", *self.batch()

    def recall(self):
        return RECALL, literal(self.random.sample(IDS, 3))

    def reset(self):
        return "SELECT * FROM tally.reset_total($1)", uuid.UUID(self.random.choice(IDS))

    def undo(self):
        return "SELECT * FROM tally.undo_reset($1)", self.random.randint(1, 5)


class Session:
    """One session of both: gives what each said."""

    def __init__(self, real, modelled):
        self.both = (real, modelled)
        self.savepoints = 0
        self.in_transaction = False

    async def say(self, query, *arguments):
        return [await outcome(one, query, *arguments) for one in self.both]

    async def control(self, random):
        """Begin, end or save a transaction, whatever may come now."""
        if not self.in_transaction:
            self.in_transaction = True
            return await self.say("BEGIN")
        ends = ["COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT s"]
        query = random.choice([*ends, *self.of_savepoints()])
        said = await self.say(query)
        if query in ("COMMIT", "ROLLBACK"):
            self.in_transaction, self.savepoints = False, 0
        elif said[0] == []:
            self.savepoints += {"SAVEPOINT s": 1, "RELEASE SAVEPOINT s": -1}.get(query, 0)
        return said

    def of_savepoints(self):
        return ["RELEASE SAVEPOINT s", "ROLLBACK TO SAVEPOINT s"] * (self.savepoints > 0)


def modelled_rows(server):
    """The model's rows as the tables' queries give the database's."""
    tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    for (table, name), row in server.rows.items():
        key = uuid.UUID(name) if table == "answer" else name
        tables[table].append((key, *flat(table, row)))
    return {name: sorted(rows, key=first) for name, rows in tables.items()}


def flat(table, row):
    match table:
        case "writer":
            before = row.before
            found = (before.last_id, before.sum, before.count) if before else [None] * 3
            return row.batch, *found
        case "answer":
            return uuid.UUID(row.body), *row[1:]
        case "reset":
            return *row[:4], row.undone_after
        case "empty_reset":
            return ()
    return tuple(row)


@asynccontextmanager
async def connected(ledger):
    async with AsyncExitStack() as stack:
        connections = [await asyncpg.connect(ledger.owner_url) for _ in range(2)]
        for connection in connections:
            stack.push_async_callback(connection.close)
        yield connections


async def compare(ledger, seed, functions=Functions):
    """Let both do the same; the first difference is an AssertionError."""
    server = model(functions)
    async with connected(ledger) as real:
        return await compare_with(real, server, Caller(seed, server), seed)


async def compare_with(real, server, caller, seed):
    await real[0].execute(EMPTY)
    if seed % 2:
        await real[0].execute("UPDATE tally.total SET sum = $1", NEARLY_TOO_MUCH)
        server.rows[TOTAL] = server.rows[TOTAL]._replace(sum=NEARLY_TOO_MUCH)
    sessions = [Session(one, connect(server)) for one in real]
    for session in sessions:
        await session.say("SET lock_timeout = '20ms'")
    kinds = set()
    for number in range(CALLS):
        session = caller.random.choice(sessions)
        if caller.random.random() < 0.3:
            said = await session.control(caller.random)
            assert said[0] == said[1], number
        else:
            called = caller.call()
            said = await session.say(*called)
            assert said[0] == said[1], (number, called)
        kinds.add(said[0][0] if isinstance(said[0], tuple) else "rows")
    for session in sessions:
        await session.say("ROLLBACK")
    stored = {
        name: sorted(map(tuple, await real[0].fetch(query)), key=first)
        for name, query in TABLES.items()
    }
    assert modelled_rows(server) == stored
    return kinds


async def test_the_model_answers_as_postgresql_does(ledger):
    kinds = set().union(*[await compare(ledger, seed) for seed in SEEDS])
    assert kinds >= {
        *("rows", "LockNotAvailableError", "UniqueViolationError", "CheckViolationError"),
        *("InvalidParameterValueError", "InFailedSQLTransactionError", "UnknownPostgresError"),
    }


async def test_a_model_that_answers_otherwise_is_found_out(ledger):
    with pytest.raises(AssertionError):
        await compare(ledger, 0, TakesAnyLaterBatch)
