"""Importing files: each batch and each row with an id counts exactly once."""

import asyncio
import hashlib

import pytest

from tally.amount import format_amount
from tally.files.content import read
from tally.files.options import FileOptions
from tally.ledger.importer import (
    CountedOtherwise,
    Imported,
    Stopped,
    batch_keys,
    counted_before,
    import_keyed,
)
from tally.ledger.row_importer import leave_out_counted, row_keys
from tally.ledger.writer import Added, Key, KeyReused, SumOutOfRange

ONE = 10**9
CSV = FileOptions("csv")
ROWS = FileOptions("csv", id_column="id")


@pytest.fixture
def file(tmp_path):
    """Writes a file of values."""

    def write(content, name="values.csv"):
        path = tmp_path / name
        path.write_text(content)
        return str(path)

    return write


@pytest.fixture
def add(writer, connect):
    """Adds a file; returns how many values were added, and how many were counted before."""
    database = connect("tally_adder")

    async def add(path, options=CSV, label="", size=2):
        done = Imported()
        with read(path, options) as content:
            if options.id_column is None:
                keyed = batch_keys(content.kept.batches(size), content.digest, label)
                chunks = ([one] for one in keyed)
            else:
                done.already = await leave_out_counted(
                    database, content.kept, content.digest, label
                )
                chunks = row_keys(content.kept, label)
            await import_keyed(writer, chunks, done, lambda counted: None)
        return done.added.count, done.already.count

    return add


async def test_the_same_content_counts_once_unless_it_is_labelled(add, file, reader):
    for name, label, expected in (
        ("a.csv", "", (3, 0)),
        ("b.csv", "", (0, 3)),
        ("b.csv", "march", (3, 0)),
        ("b.csv", "march", (0, 3)),
    ):
        assert await add(file("1\n2\n3\n", name), label=label) == expected
    assert format_amount((await reader.total()).sum) == "12"


async def test_what_older_releases_counted_stays_counted(add, file, writer):
    """The keys of a file's batches are a promise, which was made with this digest."""
    path = file("value\n1\n2\n")
    digest = hashlib.sha256(b"csv" + b"value\n1\n2\n").hexdigest()
    await writer.add([ONE, 2 * ONE], Key.of(f"file {digest}  0", [ONE, 2 * ONE], batch=True))
    assert await add(path) == (0, 2)


async def test_what_older_releases_counted_of_rows_stays_counted(add, file, writer):
    await writer.add([ONE], Key.of("row 5 march a", [ONE], batch=False))
    assert await add(file("id,value\na,1\nb,2\n"), ROWS, label="march") == (1, 1)


async def test_a_file_that_is_read_otherwise_does_not_count_again(add, file, connect, drift):
    path = file("value,tax\n1,5\n2,6\n3,7\n")
    assert await add(path) == (3, 0)
    tax = FileOptions("csv", column="tax")
    with pytest.raises(Stopped) as stopped:
        await add(path, tax)
    assert isinstance(stopped.value.reason, KeyReused)
    assert stopped.value.done.count == 0
    with read(path, tax) as content:
        keyed = batch_keys(content.kept.batches(2), content.digest, "")
        with pytest.raises(CountedOtherwise):
            await counted_before(connect("tally_adder"), keyed)
    assert await add(path, tax, label="tax") == (3, 0)
    assert await drift() is None


async def test_what_stops_an_import_says_what_is_counted(add, file, owner, drift):
    """Those that were sent beside the one that failed are told, too."""
    await owner.set_sum("99999999999999999999999999990")
    path = file("5\n4\n1\n1\n-3\n-3\n")
    with pytest.raises(Stopped) as stopped:
        await add(path)
    assert isinstance(stopped.value.reason, SumOutOfRange)
    assert str(stopped.value) == str(stopped.value.reason)
    assert stopped.value.done.added.count == len(await owner.entries()) == 4
    await owner.execute("UPDATE tally.total SET sum = 0")
    assert await add(path) == (2, 4)


async def test_how_much_of_a_file_is_counted(add, file, connect):
    path = file("1\n2\n3\n4\n5\n")
    database = connect("tally_adder")

    async def look(label=""):
        with read(path, CSV) as content:
            keyed = batch_keys(content.kept.batches(2), content.digest, label)
            counted = await counted_before(database, keyed)
            return counted.count, counted.sum, counted.last_id

    assert await look() == (0, 0, 0)
    await add(path)
    assert await look() == (5, 15 * ONE, 5)
    assert await look("march") == (0, 0, 0)


class TestRows:
    async def test_a_file_that_grew_counts_only_its_new_rows(self, add, file, reader):
        for content, expected in (
            ("id,value\na,1\nb,2\n", (2, 0)),
            ("id,value\na,1\nb,2\n", (0, 2)),
            ("value;id;note\n3;c;new\n2.0;b;sorted\n1;a;\n", (1, 2)),
            ("id,value\nd,4\n", (1, 0)),
        ):
            assert await add(file(content), ROWS) == expected
        assert format_amount((await reader.total()).sum) == "10"

    async def test_an_id_with_another_value_is_refused_whole(self, add, file, owner):
        await add(file("id,value\na,1\nb,2\n"), ROWS)
        with pytest.raises(CountedOtherwise, match=r"line 3: the id 'b' .* with 2 \(entry 2\).* 3"):
            await add(file("id,value\nnew,1\nb,3\n"), ROWS)
        assert len(await owner.entries()) == 2

    async def test_labels_keep_ids_apart(self, add, file):
        path = file("id,value\nb c,1\n")
        assert await add(path, ROWS, "a") == (1, 0)
        assert await add(file("id,value\nc,1\n", "b.csv"), ROWS, "a b") == (1, 0)
        assert await add(path, ROWS, "a") == (0, 1)

    async def test_a_file_that_was_counted_whole_is_refused(self, add, file):
        path = file("id,value\na,1\n")
        await add(path)
        with pytest.raises(CountedOtherwise, match="without the ids of its rows"):
            await add(path, ROWS)
        assert await add(path, ROWS, "rows") == (1, 0)

    async def test_many_at_once_count_each_row_once(self, add, file, owner, drift):
        """Files that share rows, imported side by side."""
        paths = [
            file("id,value\n" + "".join(f"{it},1\n" for it in range(start, 3000)), f"{start}.csv")
            for start in (0, 0, 500, 1000)
        ]
        done = await asyncio.gather(*(add(path, ROWS) for path in paths))
        assert sum(added for added, _ in done) == 3000
        assert sum(already for _, already in done) == 3000 + 2500 + 2000
        assert len(await owner.entries()) == 3000
        assert await drift() is None

    async def test_a_row_that_changes_hands_meanwhile_stops_the_import(
        self, file, writer, connect, owner
    ):
        with read(file("id,value\na,1\nb,2\n"), ROWS) as content:
            await leave_out_counted(connect("tally_adder"), content.kept, content.digest, "")
            with read(file("id,value\na,5\n"), ROWS) as other:
                await import_keyed(writer, row_keys(other.kept, ""), Imported(), print)
            done = Imported()
            with pytest.raises(Stopped) as stopped:
                await import_keyed(writer, row_keys(content.kept, ""), done, lambda counted: None)
        assert isinstance(stopped.value.reason, KeyReused)
        assert done.added.count == 1
        assert [value for _, value, _ in await owner.entries()] == ["5", "2"]


class Sender:
    """In the place of a writer: answers each request some turns of the event loop later."""

    def __init__(self, error=None):
        self.error = error
        self.sent = self.under_way = self.most = 0

    def submit(self, values, key, finish):
        self.sent += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        outcome = self.error or Added(self.sent, self.sent, ONE, 1, replayed=self.sent % 2 == 0)
        self._answer(finish, outcome, turns=20)

    def _answer(self, finish, outcome, turns):
        if turns:
            asyncio.get_running_loop().call_soon(self._answer, finish, outcome, turns - 1)
            return
        self.under_way -= 1
        finish(outcome)


@pytest.fixture
def chunks():
    return [[(Key.of(str(number), [ONE], batch=True), [ONE])] for number in range(8)]


async def test_while_one_is_committed_others_are_sent_but_few(chunks, monkeypatch):
    turns = []
    sleep = asyncio.sleep

    async def note(seconds):
        turns.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    sender, done, told = Sender(), Imported(), []
    await import_keyed(sender, chunks, done, told.append)
    assert (sender.sent, sender.most) == (8, 3)
    assert (done.added.count, done.already.count, done.count) == (4, 4, 8)
    # The first three are answered in one turn.
    assert (len(told), told[-1], told) == (8, 8, sorted(told))
    assert turns == [0] * 8, "the writer has a turn after each"


async def test_after_an_error_no_more_is_sent(chunks):
    sender = Sender(error=KeyError("a bug"))
    with pytest.raises(KeyError):
        await import_keyed(sender, chunks, Imported(), lambda counted: None)
    assert sender.sent == 3
