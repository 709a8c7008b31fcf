"""Whatever is done in whatever order, the ledger does what a few lines of Python say it must."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tally.ledger.audit import audit
from tally.ledger.corrections import Corrections, EntryNotUndoable
from tally.ledger.database import Database
from tally.ledger.listing import Entry
from tally.ledger.purge import purge
from tally.ledger.reader import Reader, Total
from tally.ledger.resets import NotUndoable, Resets
from tally.ledger.writer import Added, Key, KeyReused, Writer
from tests.support.postgres import PATIENCE

LARGEST = 10**27 - 1
amounts = st.one_of(st.integers(-LARGEST, LARGEST), st.integers(-3, 3).map(lambda n: n * 10**9))
keys = st.one_of(st.none(), st.sampled_from("abcdefgh"))


@dataclass
class ModelReset:
    sum: int
    values: list[tuple[int, int, int]]
    undone: bool = False


@dataclass
class Model:
    """The ledger in plain Python: current entries, a stack of cleared ones, answers to keys."""

    last_id: int = 0
    sum: int = 0
    current: list[tuple[int, int, int]] = field(default_factory=list)
    resets: list[ModelReset] = field(default_factory=list)
    answers: dict[str, tuple[tuple[int, ...], bool, Added]] = field(default_factory=dict)
    corrections: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    purged: set[int] = field(default_factory=set)
    reset_keys: int = 0

    def add(self, values, key, batch):
        if key in self.answers:
            known_values, known_batch, answer = self.answers[key]
            return answer if (known_values, known_batch) == (values, batch) else KeyReused
        for value in values:
            self.last_id += 1
            self.sum += value
            self.current.append((self.last_id, value, self.sum))
        first_id = self.last_id - len(values) + 1
        answer = Added(first_id, self.last_id, self.sum, len(self.current))
        if key is not None:
            self.answers[key] = (values, batch, answer)
        return answer

    def undo_entry(self, entry_id):
        """Return what is told: the id, value, sum and count, whether replayed; or the refusal."""
        if entry_id in self.corrections:
            return *self.corrections[entry_id], True
        value = next((value for id_, value, _ in self.current if id_ == entry_id), None)
        if value is None:
            if not 1 <= entry_id <= self.last_id:
                return "no-such-entry"
            return "entry-purged" if entry_id in self.purged else "entry-cleared"
        answer = self.add((-value,), None, batch=False)
        told = (answer.first_id, -value, answer.sum, answer.count)
        self.corrections[entry_id] = told
        return *told, False

    def reset(self):
        """Return the id and sum that are told: id 0 where nothing was cleared, and none is made."""
        if not self.current:
            return 0, 0
        self.resets.append(ModelReset(self.sum, self.current))
        self.sum, self.current = 0, []
        return len(self.resets), self.resets[-1].sum

    def undoable(self):
        """The number of the one reset that may be undone, or None."""
        standing = [number for number, reset in enumerate(self.resets, 1) if not reset.undone]
        if not standing or self.purged & {row[0] for row in self.resets[standing[-1] - 1].values}:
            return None
        return standing[-1]

    def undo(self, number):
        reset = self.resets[number - 1]
        reset.undone = True
        self.sum += reset.sum
        self.current = reset.values + self.current

    def purge(self):
        cleared = {row[0] for reset in self.resets if not reset.undone for row in reset.values}
        fresh = cleared - self.purged
        self.purged |= cleared
        return len(fresh)

    def kept(self):
        """All entries that are in the table, whether cleared or not."""
        rows = [row for reset in self.resets if not reset.undone for row in reset.values]
        return sorted(row for row in rows + self.current if row[0] not in self.purged)


class LedgerMachine(RuleBasedStateMachine):
    """Does everything to both, and compares what they say after each step."""

    ledger = None
    runner = None

    @initialize()
    def begin(self):
        self.model = Model()
        self.run(self.connect())

    def run(self, work):
        return self.runner.run(work)

    async def connect(self):
        self.owner = await asyncpg.connect(self.ledger.owner_url)
        await self.owner.execute(
            "TRUNCATE tally.entry, tally.reset, tally.empty_reset, tally.answer, tally.writer,"
            " tally.correction,"
            " tally.move, tally.stretch, tally.total;"
            "INSERT INTO tally.total DEFAULT VALUES"
        )
        roles = ("postgres", "tally_adder", "tally_display", "tally_reset")
        self.databases = [Database(self.ledger.url(role), timeout=PATIENCE) for role in roles]
        self.owner_database, self.adder_database, *_ = self.databases
        self.reader, self.resets = Reader(self.databases[2]), Resets(self.databases[3])
        self.corrections = Corrections(self.adder_database)
        await self.start_writer()

    async def start_writer(self):
        self.writer = Writer(self.adder_database, queue_limit=1000)
        self.writer.start()

    async def compare_add(self, values, key, batch):
        expected = self.model.add(tuple(values), key, batch)
        keyed = None if key is None else Key.of(key, values, batch=batch)
        if expected is KeyReused:
            with pytest.raises(KeyReused):
                await self.writer.add(values, keyed)
            return
        answer = await self.writer.add(values, keyed)
        assert told(answer) == told(expected)

    @rule(value=amounts, key=keys)
    def add(self, value, key):
        self.run(self.compare_add([value], key, batch=False))

    @rule(values=st.lists(amounts, min_size=1, max_size=6), key=keys)
    def add_batch(self, values, key):
        self.run(self.compare_add(values, key, batch=True))

    @rule(values=st.lists(st.tuples(amounts, keys), min_size=2, max_size=6))
    def add_at_once(self, values):
        """Requests that share a commit; those with a key already seen are kept for other rules."""

        async def work():
            fresh = {key: value for value, key in values if key not in self.model.answers}
            requests = [(value, None) for value, key in values if key is None]
            requests += [(value, key) for key, value in fresh.items() if key is not None]
            expected = [self.model.add((value,), key, batch=False) for value, key in requests]
            answers = await asyncio.gather(
                *(
                    self.writer.add(
                        [value], None if key is None else Key.of(key, [value], batch=False)
                    )
                    for value, key in requests
                )
            )
            assert list(map(told, answers)) == list(map(told, expected))

        self.run(work())

    @precondition(lambda self: self.model.answers)
    @rule(data=st.data())
    def retry(self, data):
        key = data.draw(st.sampled_from(sorted(self.model.answers)))
        values, batch, _ = self.model.answers[key]
        self.run(self.compare_add(list(values), key, batch))

    @precondition(lambda self: self.model.answers)
    @rule(data=st.data(), value=amounts)
    def reuse_a_key_for_something_else(self, data, value):
        key = data.draw(st.sampled_from(sorted(self.model.answers)))
        values, batch, _ = self.model.answers[key]
        self.run(self.compare_add([*values, value], key, batch))
        self.run(self.compare_add(list(values), key, not batch))

    @rule(back=st.integers(-1, 6))
    def undo_an_entry(self, back):
        """One of the newest, whether current, cleared, purged, undone before, or not there."""
        entry_id = self.model.last_id - back
        expected = self.model.undo_entry(entry_id)
        if isinstance(expected, str):
            with pytest.raises(EntryNotUndoable) as refused:
                self.run(self.corrections.undo(entry_id))
            assert refused.value.rule == expected
            return
        done = self.run(self.corrections.undo(entry_id))
        assert (done.id, done.value, done.sum, done.count, done.replayed) == expected
        assert done.undoes == entry_id

    @rule()
    def reset(self):
        told = self.model.reset()
        reset, replayed = self.run(self.resets.reset())
        assert not replayed
        assert (reset.id, reset.sum) == told

    @rule()
    def reset_twice_under_one_key(self):
        told = self.model.reset()
        self.model.reset_keys += 1
        key = f"reset {self.model.reset_keys}"
        first, replayed = self.run(self.resets.reset(key))
        assert not replayed
        assert (first.id, first.sum) == told
        again, replayed = self.run(self.resets.reset(key))
        assert replayed
        assert again == first

    @precondition(lambda self: self.model.undoable() is not None)
    @rule()
    def undo(self):
        number = self.model.undoable()
        self.model.undo(number)
        undone = self.run(self.resets.undo(number))
        assert (undone.id, undone.sum) == (number, self.model.resets[number - 1].sum)

    @rule(number=st.integers(0, 8))
    def undo_a_wrong_one(self, number):
        if number == self.model.undoable():
            return
        with pytest.raises(NotUndoable):
            self.run(self.resets.undo(number))

    @rule()
    def purge(self):
        purged = self.run(purge(self.owner_database, timedelta(0)))
        assert purged.entries == self.model.purge()

    @rule()
    def restart_the_writer(self):
        self.run(self.writer.close(grace=1))
        self.run(self.start_writer())

    @rule()
    def lose_the_writer_s_connection(self):
        if self.writer._connection is not None:
            self.writer._connection.terminate()

    @invariant()
    def agree(self):
        self.run(self.compare())

    async def compare(self):
        model = self.model
        assert await self.reader.total() == Total(model.sum, len(model.current), model.last_id)
        shown = (await self.reader.page(None, 1000)).entries
        assert [(row.id, row.value, row.sum_after) for row in shown] == model.current[::-1]
        undone_by = {entry_id: told[0] for entry_id, told in model.corrections.items()}
        undoes = {new_id: entry_id for entry_id, new_id in undone_by.items()}
        assert [(row.undoes, row.undone_by) for row in shown] == [
            (undoes.get(row.id), undone_by.get(row.id)) for row in shown
        ]
        total, page = await self.reader.changes(None, 1000)
        assert [row.id for row in page.rows if isinstance(row, Entry)] == [
            row[0] for row in model.kept()[::-1]
        ]
        assert (page.rows[0].sum_after if page.rows else 0) == total.sum
        for above, below in pairwise(page.rows):
            assert above.sum_after == below.sum_after + above.value
        kept = await self.owner.fetch("SELECT id FROM tally.entry ORDER BY id")
        assert [row["id"] for row in kept] == [row[0] for row in model.kept()]
        past = await self.resets.past()
        assert [(reset.sum, reset.count, reset.undone_at is not None) for reset in past] == [
            (reset.sum, len(reset.values), reset.undone) for reset in model.resets[::-1]
        ]
        assert [reset.id for reset in past if reset.undoable] == (
            [model.undoable()] if model.undoable() is not None else []
        )
        rows = await self.owner.fetch("SELECT first_id, last_id, count FROM tally.answer")
        assert sorted(map(tuple, rows)) == sorted(
            (answer.first_id, answer.last_id, answer.count)
            for _, _, answer in model.answers.values()
        )

    def teardown(self):
        if not hasattr(self, "writer"):
            return
        try:
            report = self.run(audit(self.owner_database))
            assert report.difference is None
            assert report.checked == len(self.model.kept())
        finally:
            self.run(self.disconnect())

    async def disconnect(self):
        await self.writer.close(grace=1)
        await self.owner.close()
        for database in self.databases:
            await database.close()


def told(answer):
    return (answer.first_id, answer.last_id, answer.sum, answer.count)


def test_the_ledger_does_what_the_model_does(ledger):
    with asyncio.Runner() as runner:
        machine = type("Machine", (LedgerMachine,), {"ledger": ledger, "runner": runner})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=40,
                suppress_health_check=list(HealthCheck),
            ),
        )
