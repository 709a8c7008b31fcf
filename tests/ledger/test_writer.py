"""Adding: group commit, bounds, and exactly once whatever happens to the connection."""

import asyncio
import os
import random
import signal
from itertools import chain

import asyncpg
import pytest

from tally.ledger.database import Database
from tally.ledger.failures import Unavailable
from tally.ledger.schema import from_numeric
from tally.ledger.writer import MAX_BATCH_VALUES, Added, Key, QueueFull, SumOutOfRange, Writer
from tests.support.postgres import PATIENCE

ONE = 10**9
LARGEST = 10**27 - 1


def key(name, *values, batch=False):
    return Key.of(name, values, batch=batch)


async def sent(owner, count=1):
    """Wait until so many backends wait for a table that the owner holds."""
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with asyncio.timeout(PATIENCE):
        while await owner.fetchval(waiting) < count:  # noqa: ASYNC110 - PostgreSQL has no event
            await asyncio.sleep(0.005)


# One add after another


async def test_an_add_tells_its_id_and_the_total_after_it(writer, owner):
    assert await writer.add([12_500_000_000]) == Added(1, 1, 12_500_000_000, 1)
    assert await writer.add([-3 * ONE]) == Added(2, 2, 9_500_000_000, 2)
    assert await owner.entries() == [(1, "12.5", "12.5"), (2, "-3", "9.5")]


async def test_a_batch_is_stored_in_order_under_one_answer(writer, owner):
    await writer.add([ONE])
    assert await writer.add([2 * ONE, -ONE, 1]) == Added(2, 4, 2 * ONE + 1, 4)
    assert await owner.entries() == [
        (1, "1", "1"),
        (2, "2", "3"),
        (3, "-1", "2"),
        (4, "0.000000001", "2.000000001"),
    ]


async def test_the_largest_batch_is_stored(writer):
    values = [ONE] * MAX_BATCH_VALUES
    assert await writer.add(values) == Added(
        1, MAX_BATCH_VALUES, MAX_BATCH_VALUES * ONE, MAX_BATCH_VALUES
    )


async def test_extreme_values_are_exact(writer, owner):
    assert (await writer.add([LARGEST])).sum == LARGEST
    assert (await writer.add([1])).sum == LARGEST + 1
    assert (await writer.add([-LARGEST])).sum == 1
    assert (await owner.entries())[1] == (2, "0.000000001", "1000000000000000000")


async def test_an_add_is_durable_whatever_the_server_s_default(writer, owner):
    name = await owner.fetchval("SELECT quote_ident(current_database())")
    await owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await writer.add([ONE])
    setting = await writer._connection.fetchval("SHOW synchronous_commit")
    assert setting == "on"


# Many at once


async def test_adds_that_wait_together_share_a_commit_and_each_gets_its_own_sum(start_writer):
    commits = []
    writer = start_writer(
        on_commit=lambda requests, values, seconds: commits.append((requests, values, seconds))
    )
    answers = await asyncio.gather(*(writer.add([number * ONE] * 2) for number in range(200)))
    running = 0
    for number, answer in enumerate(answers):
        running += 2 * number * ONE
        assert answer == Added(2 * number + 1, 2 * number + 2, running, 2 * number + 2)
    assert len(commits) < 10
    assert sum(requests for requests, _, _ in commits) == 200
    assert sum(values for _, values, _ in commits) == 400
    assert all(0 < seconds < 5 for _, _, seconds in commits)


async def test_requests_over_a_batch_s_bound_go_into_the_next(start_writer):
    sizes = []
    writer = start_writer(on_commit=lambda requests, values, seconds: sizes.append(values))
    await asyncio.gather(*(writer.add([ONE] * 4000) for _ in range(5)))
    assert sum(sizes) == 20_000
    assert max(sizes) == 8000


async def test_two_writers_share_one_order(start_writer, drift):
    first, second = start_writer(), start_writer()
    answers = await asyncio.gather(
        *(writer.add([number]) for number in range(300) for writer in (first, second))
    )
    assert sorted(answer.last_id for answer in answers) == list(range(1, 601))
    assert await drift() is None


async def test_who_goes_away_takes_nothing_of_the_others_along(writer, owner):
    async with owner.holding("tally.total"):
        tasks = [asyncio.create_task(writer.add([ONE])) for _ in range(3)]
        await sent(owner)
        tasks[1].cancel()
    assert (await tasks[0]).sum == ONE
    assert (await tasks[2]).sum == 3 * ONE


# The bounds of the sum


async def test_a_sum_out_of_range_is_refused_and_stores_nothing(writer, owner):
    await owner.set_sum("99999999999999999999999999999.999999998")
    assert (await writer.add([1])).sum == 10**38 - 1
    with pytest.raises(SumOutOfRange):
        await writer.add([1])
    assert (await writer.add([-1])).sum == 10**38 - 2
    assert [entry_id for entry_id, _, _ in await owner.entries()] == [1, 2]


async def test_the_lower_bound_holds_too(writer, owner):
    await owner.set_sum("-99999999999999999999999999999.999999999")
    with pytest.raises(SumOutOfRange):
        await writer.add([-1])
    assert (await writer.add([1])).sum == -(10**38) + 2


async def test_only_who_is_guilty_is_refused(writer, owner):
    await owner.set_sum("99999999999999999999999999998")
    answers = await asyncio.gather(
        writer.add([1]),
        writer.add([2 * ONE]),
        writer.add([-1], key("a", -1)),
        writer.add([2 * ONE - 1, 1]),
        writer.add([2]),
        return_exceptions=True,
    )
    assert isinstance(answers[1], SumOutOfRange)
    assert isinstance(answers[3], SumOutOfRange)
    assert [answers[place].sum - (10**38 - 2 * ONE) for place in (0, 2, 4)] == [1, 0, 2]
    assert len(await owner.entries()) == 3


async def test_after_a_refusal_adds_share_commits_as_before(start_writer, owner):
    commits = []
    writer = start_writer(on_commit=lambda requests, values, seconds: commits.append(requests))
    await owner.set_sum("99999999999999999999999999998")
    refused = await asyncio.gather(
        *(writer.add([2 * ONE]) for _ in range(3)), return_exceptions=True
    )
    assert [type(it) for it in refused] == [SumOutOfRange] * 3
    assert commits == []
    await asyncio.gather(*(writer.add([1]) for _ in range(200)))
    assert sum(commits) == 200
    assert len(commits) < 10


@pytest.mark.parametrize("company", [0, 3])
async def test_a_retry_gets_its_answer_though_its_value_would_no_longer_fit(writer, owner, company):
    await owner.set_sum("99999999999999999999999999998")
    first = await writer.add([ONE], key("a", ONE))
    answers = await asyncio.gather(
        writer.add([ONE], key("a", ONE)), *(writer.add([1]) for _ in range(company))
    )
    assert (answers[0].first_id, answers[0].sum) == (first.first_id, first.sum)
    assert answers[0].replayed
    assert [answer.sum - first.sum for answer in answers] == list(range(company + 1))


# Limits in room and time


async def test_a_full_queue_refuses_at_once(start_writer, owner):
    writer = start_writer(queue_limit=10)
    async with owner.holding("tally.total"):
        under_way = asyncio.create_task(writer.add([ONE]))
        await sent(owner)
        waiting = [asyncio.create_task(writer.add([ONE] * 5)) for _ in range(2)]
        await asyncio.sleep(0)
        assert writer.queued_values == 10
        with pytest.raises(QueueFull):
            writer.submit([ONE], None, print)
    assert (await under_way).sum == ONE
    assert [answer.sum for answer in await asyncio.gather(*waiting)] == [6 * ONE, 11 * ONE]
    assert writer.queued_values == 0


async def test_without_a_database_the_outcome_is_known(writer, owner, clock):
    async with owner.outage():
        adding = asyncio.create_task(writer.add([ONE]))
        await clock.advance(0.9 * PATIENCE)
        assert not adding.done()
        await clock.advance(0.2 * PATIENCE)
        with pytest.raises(Unavailable) as refusal:
            await adding
        assert refusal.value.outcome_known
    assert writer.queued_values == 0


async def test_who_was_told_that_nothing_was_stored_was_told_the_truth(writer, owner, clock):
    async with owner.outage():
        early = [asyncio.create_task(writer.add([ONE])) for _ in range(10)]
        await clock.advance(PATIENCE)
        refused = await asyncio.gather(*early, return_exceptions=True)
        assert all(refusal.outcome_known for refusal in refused)
        late = [asyncio.create_task(writer.add([2 * ONE])) for _ in range(2)]
        await clock.advance(PATIENCE / 2)
    assert [answer.sum for answer in await asyncio.gather(*late)] == [2 * ONE, 4 * ONE]
    assert len(await owner.entries()) == 2


async def test_a_batch_under_way_expires_with_an_unknown_outcome(writer, owner, drift, clock):
    await writer.add([ONE])
    async with owner.holding("tally.total", "tally.writer"):
        under_way = asyncio.create_task(writer.add([10 * ONE]))
        await sent(owner)
        behind = asyncio.create_task(writer.add([100 * ONE]))
        await clock.advance(PATIENCE)
        answers = await asyncio.gather(under_way, behind, return_exceptions=True)
        assert [answer.outcome_known for answer in answers] == [False, True]
    answer = await writer.add([1000 * ONE])
    assert answer.sum in (1001 * ONE, 1011 * ONE)
    assert await drift() is None


async def test_service_resumes_by_itself_and_says_so(start_writer, owner):
    seen = []
    writer = start_writer(on_connection=lambda connected, reason: seen.append((connected, reason)))
    await writer.add([ONE])
    async with owner.outage():
        waiting = asyncio.create_task(writer.add([ONE]))
        await asyncio.sleep(0.3)
    assert (await waiting).sum == 2 * ONE
    assert [connected for connected, _ in seen] == [False, True]
    assert seen[0][1]


async def test_failed_tries_to_connect_leave_no_connections_behind(writer, owner):
    await owner.execute("ALTER FUNCTION tally.register_writer RENAME TO away")
    for _ in range(5):
        with pytest.raises(Unavailable, match="refuses"):
            await writer.add([ONE])
    await owner.execute("ALTER FUNCTION tally.away RENAME TO register_writer")
    assert (await writer.add([ONE])).last_id == 1
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tally_adder'"
    async with asyncio.timeout(PATIENCE):
        while await owner.fetchval(query) != 1:  # noqa: ASYNC110 - PostgreSQL has no event
            await asyncio.sleep(0.01)


# The end


async def test_close_commits_and_answers_what_waits(start_writer, owner):
    writer = start_writer()
    waiting = [asyncio.create_task(writer.add([ONE])) for _ in range(100)]
    await asyncio.sleep(0)
    await writer.close(grace=PATIENCE)
    assert [(await answer).last_id for answer in waiting] == list(range(1, 101))
    assert len(await owner.entries()) == 100


async def test_close_answers_even_what_can_t_be_committed(start_writer, owner):
    writer = start_writer(queue_limit=10)
    async with owner.holding("tally.total", "tally.writer"):
        under_way = asyncio.create_task(writer.add([ONE]))
        # The writer's very first connection waits to be registered: nothing is sent yet.
        await sent(owner)
        behind = asyncio.create_task(writer.add([ONE]))
        await asyncio.sleep(0)
        await writer.close(grace=0.2)
        answers = await asyncio.gather(under_way, behind, return_exceptions=True)
        assert [answer.outcome_known for answer in answers] == [True, True]
    assert await owner.entries() == []


async def test_close_says_that_the_outcome_of_what_is_under_way_is_unknown(start_writer, owner):
    writer = start_writer()
    await writer.add([ONE])
    async with owner.holding("tally.total"):
        under_way = asyncio.create_task(writer.add([ONE]))
        await sent(owner)
        await writer.close(grace=0.2)
        with pytest.raises(Unavailable) as refusal:
            await under_way
        assert not refusal.value.outcome_known


async def test_a_writer_that_nothing_waits_for_closes_at_once(start_writer, connect):
    async with asyncio.timeout(PATIENCE):
        await start_writer().close(grace=2 * PATIENCE)
        await Writer(connect("tally_adder"), queue_limit=1).close(grace=2 * PATIENCE)


async def test_a_bug_of_its_own_is_told_when_it_closes(connect, monkeypatch):
    writer = Writer(connect("tally_adder"), queue_limit=1)
    monkeypatch.setattr(writer, "_expire", fail)
    writer.start()
    await asyncio.sleep(0)
    with pytest.raises(KeyError):
        await writer.close(grace=1)


async def test_a_bug_is_told_to_who_waits_and_the_next_has_another_connection(writer, monkeypatch):
    await writer.add([ONE])
    backend = writer._connection.get_server_pid()
    with monkeypatch.context() as patched:
        patched.setattr(writer, "_add_batch", fail)
        with pytest.raises(KeyError):
            await writer.add([ONE])
    assert (await writer.add([ONE])).sum == 2 * ONE
    assert writer._connection.get_server_pid() != backend


async def fail(*_given):
    raise KeyError("a bug")


async def test_a_closed_writer_refuses(start_writer):
    writer = start_writer()
    await writer.close(grace=1)
    with pytest.raises(Unavailable) as refusal:
        await writer.add([ONE])
    assert refusal.value.outcome_known


# Exactly once

LOSSES = 40


class LossyDatabase(Database):
    """Loses connections right before or right after the batch, with its answer."""

    def __init__(self, url, chance):
        super().__init__(url, timeout=PATIENCE)
        self.chance = chance
        self.lost = {"before": 0, "after": 0}

    async def connect(self):
        connection = await super().connect()
        fetchrow = connection.fetchrow

        def lose(when):
            if random.random() < self.chance:
                self.lost[when] += 1
                connection.terminate()
                raise ConnectionResetError(when)

        async def lossy_fetchrow(query, *arguments, **options):
            lose("before")
            row = await fetchrow(query, *arguments, **options)
            lose("after")
            return row

        # The connection is a proxy without a place for attributes of its own.
        return _Overridden(connection, lossy_fetchrow)


class _Overridden:
    def __init__(self, connection, fetchrow):
        self._connection = connection
        self.fetchrow = fetchrow

    def __getattr__(self, name):
        return getattr(self._connection, name)


async def hammer(writer, enough, name):
    """Add until it is enough, singly and in batches, with and without keys.

    Returns (values, answer)s.
    """
    done = []
    while not enough():
        values = [random.randrange(-LARGEST, LARGEST) for _ in range(random.choice([1, 1, 5]))]
        keyed = key(f"{name}-{len(done)}", *values) if random.random() < 0.5 else None
        done.append((values, await writer.add(values, keyed)))
    return done


async def check_exactly_once(done, owner, drift):
    """All that was acknowledged is there once, with the sum its sender was told."""
    rows = await owner.fetch("SELECT id, value, sum_after FROM tally.entry")
    stored = {row["id"]: (from_numeric(row["value"]), row["sum_after"]) for row in rows}
    told = {}
    for values, answer in done:
        ids = range(answer.first_id, answer.last_id + 1)
        told.update(zip(ids, values, strict=True))
        assert from_numeric(stored[answer.last_id][1]) == answer.sum
    assert {entry_id: value for entry_id, (value, _) in stored.items()} == told
    assert len(told) == sum(len(values) for values, _ in done)
    assert await drift() is None


async def test_exactly_once_when_answers_get_lost(ledger, start_writer, owner, drift):
    database = LossyDatabase(ledger.url("tally_adder"), chance=0.2)
    writer = start_writer(database=database)
    done = await asyncio.gather(
        *(hammer(writer, lambda: min(database.lost.values()) > LOSSES, name) for name in range(8))
    )
    await check_exactly_once(list(chain.from_iterable(done)), owner, drift)
    await database.close()


async def test_exactly_once_when_backends_are_killed(start_writer, owner, drift):
    losses = []
    writers = [
        start_writer(on_connection=lambda connected, reason: losses.append(connected))
        for _ in range(2)
    ]
    killed, answered = 0, asyncio.Event()

    def enough():
        answered.set()
        return min(killed, losses.count(False)) > LOSSES

    async def kill():
        nonlocal killed
        while not enough():
            # On a busy machine too, something is added between two kills.
            answered.clear()
            await answered.wait()
            await asyncio.sleep(random.uniform(0.001, 0.04))
            killed += await owner.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = 'tally_adder'"
            )

    hammers = [
        hammer(writer, enough, f"{name}-{place}")
        for place, writer in enumerate(writers)
        for name in range(6)
    ]
    _, *done = await asyncio.gather(kill(), *hammers)
    await check_exactly_once(list(chain.from_iterable(done)), owner, drift)


@pytest.mark.parametrize("settled", [True, False])
async def test_a_batch_given_up_is_not_added_by_a_backend_that_slept(ledger, owner, settled):
    """What was said of a lost batch stays true; without that word, the sleeper would add it."""
    writer_id = "00000000-0000-0000-0000-000000000001"
    stalled = await asyncpg.connect(ledger.url("tally_adder"))
    other = await asyncpg.connect(ledger.url("tally_adder"))
    await stalled.execute(f"SELECT tally.register_writer('{writer_id}')")
    backend = stalled.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    try:
        add = asyncio.create_task(
            stalled.execute(
                f"SELECT tally.add_batch('{writer_id}', 1, '{{5}}', NULL, NULL, NULL, NULL)"
            )
        )
        await asyncio.sleep(0.05)
        if settled:
            row = await other.fetchrow(f"SELECT * FROM tally.settle_batch('{writer_id}', 1)")
            assert tuple(row) == (None, None, None)
    finally:
        os.kill(backend, signal.SIGCONT)
    await add
    assert await owner.entries() == ([] if settled else [(1, "5", "5")])
    await stalled.close()
    await other.close()


async def test_a_stalled_backend_delays_but_does_not_double(connect, start_writer, owner, drift):
    database = connect("tally_adder")
    writer = start_writer(database=database)
    await writer.add([ONE])
    backend = writer._connection.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    try:
        waiting = asyncio.create_task(writer.add([10 * ONE]))
        await asyncio.sleep(0)
        database.timeout = 0.5  # shorter for the connection than for the request
        answer = await waiting
    finally:
        os.kill(backend, signal.SIGCONT)
    assert answer == Added(2, 2, 11 * ONE, 2)
    async with asyncio.timeout(PATIENCE):
        alive = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}"
        while await owner.fetchval(alive):  # noqa: ASYNC110 - PostgreSQL has no event
            await asyncio.sleep(0.01)
    assert await owner.entries() == [(1, "1", "1"), (2, "10", "11")]
    assert await drift() is None


async def test_a_replaced_database_is_served_anew(start_writer, owner):
    seen = []
    writer = start_writer(on_connection=lambda connected, reason: seen.append(connected))
    await writer.add([ONE])
    await owner.execute("DELETE FROM tally.writer")
    assert (await writer.add([ONE])).sum == 2 * ONE
    assert (await writer.add([ONE])).sum == 3 * ONE
    assert seen == [False, True]


async def test_a_database_restored_to_an_earlier_batch_is_served_anew(writer, owner):
    await writer.add([ONE])
    before = await owner.fetchval("SELECT batch FROM tally.writer")
    await writer.add([ONE])
    await owner.execute(f"UPDATE tally.writer SET batch = {before}")
    assert (await writer.add([ONE])).sum == 3 * ONE
    assert len(await owner.entries()) == 3


async def test_nobody_is_told_of_a_batch_lost_with_its_database(start_writer, owner):
    writer = start_writer()
    await writer.add([ONE])
    async with owner.holding("tally.total"):
        under_way = asyncio.create_task(writer.add([ONE]))
        await sent(owner)
        await owner.execute("DELETE FROM tally.writer")
        await owner.cut()
    with pytest.raises(Unavailable) as refusal:
        await under_way
    assert not refusal.value.outcome_known
    assert (await writer.add([ONE])).sum == 2 * ONE


async def test_nobody_is_told_of_a_batch_whose_ledger_is_gone(start_writer, owner):
    writer = start_writer()
    await writer.add([ONE])
    await owner.execute("ALTER FUNCTION tally.register_writer RENAME TO away")
    async with owner.holding("tally.total"):
        under_way = asyncio.create_task(writer.add([ONE]))
        await sent(owner)
        await owner.cut()
        with pytest.raises(Unavailable) as refusal:
            await under_way
        assert not refusal.value.outcome_known
    with pytest.raises(Unavailable, match="refuses"):
        await writer.add([ONE])
    await owner.execute("ALTER FUNCTION tally.away RENAME TO register_writer")
    assert (await writer.add([ONE])).sum == 2 * ONE


async def test_a_damaged_ledger_is_an_error_and_not_an_endless_wait(writer, owner):
    await writer.add([ONE])
    await owner.execute("UPDATE tally.total SET last_id = 0, count = 0")
    with pytest.raises(asyncpg.UniqueViolationError, match="entry_pkey"):
        await writer.add([ONE])
