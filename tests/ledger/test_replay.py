"""Keys: the same key with the same body gets its first answer again; with another, an error."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from tally.ledger.add import Request
from tally.ledger.database import Database, Unavailable
from tally.ledger.purge import purge
from tally.ledger.replay import replay, replay_answer
from tally.ledger.writer import Added, Key, KeyReused

ONE = 10**9


def key(name, *values, batch=False):
    return Key.of(name, values, batch=batch)


async def test_a_key_gets_its_first_answer_again(writer, owner):
    first = await writer.add([ONE], key("a", ONE))
    await writer.add([ONE])
    again = await writer.add([ONE], key("a", ONE))
    assert again == Added(first.first_id, first.last_id, first.sum, first.count, replayed=True)
    assert not first.replayed
    assert len(await owner.entries()) == 2


async def test_a_key_of_a_batch_gets_its_first_answer_again(writer, owner):
    values = [ONE, 2 * ONE, 3 * ONE]
    first = await writer.add(values, key("a", *values, batch=True))
    assert (first.first_id, first.last_id, first.sum, first.count) == (1, 3, 6 * ONE, 3)
    again = await writer.add(values, key("a", *values, batch=True))
    assert (again.first_id, again.last_id, again.sum, again.count) == (1, 3, 6 * ONE, 3)
    assert again.replayed
    assert len(await owner.entries()) == 3


async def test_what_an_add_under_a_key_did_can_be_asked(writer, connect):
    one = await writer.add([ONE], key("a", ONE))
    two = await writer.add([ONE, ONE], key("b", ONE, ONE, batch=True))
    database = connect("tally_adder")
    assert await replay_answer(database, "a") == (replace(one, replayed=True), ONE)
    assert await replay_answer(database, "b") == (replace(two, replayed=True), None)
    assert await replay_answer(database, "c") is None


async def test_what_did_not_wait_is_not_replayed(writer, connect, monkeypatch):
    """Somebody ended the wait for the standby of the very commit that a replay is for."""
    await writer.add([ONE], key("a", ONE))
    waits = itertools.count()
    ended = property(lambda _self: next(waits), lambda _self, _value: None)
    monkeypatch.setattr(Database, "ended_waits", ended, raising=False)
    with pytest.raises(Unavailable):
        await replay_answer(connect("tally_adder", timeout=0.5), "a")
    answers = []
    database = connect("tally_adder")
    connection = await database.connect()
    with pytest.raises(ConnectionError, match="was ended"):
        await replay(database, connection, [Request([ONE], key("a", ONE), answers.append, 0.0)])
    await connection.close()
    assert answers == []


@pytest.mark.parametrize("batch", [False, True])
async def test_a_key_with_another_body_is_refused(writer, owner, batch):
    await writer.add([ONE], key("a", ONE))
    other = [2 * ONE] if not batch else [ONE]
    with pytest.raises(KeyReused):
        await writer.add(other, key("a", *other, batch=batch))
    assert len(await owner.entries()) == 1


async def test_a_key_twice_in_one_batch_adds_once(writer, owner):
    answers = await asyncio.gather(
        writer.add([ONE], key("a", ONE)),
        writer.add([ONE], key("a", ONE)),
        writer.add([5 * ONE], key("a", 5 * ONE)),
        writer.add([ONE], key("b", ONE)),
        writer.add([ONE]),
        return_exceptions=True,
    )
    assert [answer.replayed for answer in answers[:2]] == [False, True]
    assert answers[0].sum == answers[1].sum == ONE
    assert isinstance(answers[2], KeyReused)
    assert sorted((answers[3].sum, answers[4].sum)) == [2 * ONE, 3 * ONE]
    assert len(await owner.entries()) == 3


async def test_a_batch_with_known_keys_adds_the_rest(writer, owner):
    await writer.add([ONE], key("a", ONE))
    answers = await asyncio.gather(
        writer.add([2 * ONE]), writer.add([ONE], key("a", ONE)), writer.add([3 * ONE])
    )
    assert [(answer.sum, answer.replayed) for answer in answers] == [
        (3 * ONE, False),
        (ONE, True),
        (6 * ONE, False),
    ]
    assert len(await owner.entries()) == 3


async def test_a_key_sent_to_many_writers_at_once_adds_once(start_writer, owner, drift):
    writers = [start_writer() for _ in range(4)]
    for name in map(str, range(25)):
        answers = await asyncio.gather(*(writer.add([ONE], key(name, ONE)) for writer in writers))
        assert len({answer.first_id for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
    assert len(await owner.entries()) == 25
    assert await drift() is None


async def test_a_key_is_known_after_a_restart(start_writer):
    before = start_writer()
    first = await before.add([ONE], key("a", ONE))
    await before.close(grace=1)
    again = await start_writer().add([ONE], key("a", ONE))
    assert (again.first_id, again.sum, again.replayed) == (first.first_id, first.sum, True)


async def test_a_key_is_known_after_reset_and_purge(writer, resets, connect, owner):
    first = await writer.add([ONE], key("a", ONE))
    await resets.reset()
    again = await writer.add([ONE], key("a", ONE))
    assert (again.first_id, again.sum, again.count, again.replayed) == (1, ONE, 1, True)
    await purge(connect("postgres"), timedelta(0))
    assert await owner.entries() == []
    again = await writer.add([ONE], key("a", ONE))
    assert (again.first_id, again.sum, again.count) == (first.first_id, first.sum, first.count)
    with pytest.raises(KeyReused):
        await writer.add([2 * ONE], key("a", 2 * ONE))


async def test_nothing_that_a_client_sent_as_key_is_kept(writer, owner):
    await writer.add([ONE], key("secret-key", ONE))
    kept = await owner.fetchval("SELECT answer::text FROM tally.answer")
    assert "secret" not in kept
