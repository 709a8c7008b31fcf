"""Many adders, in processes of their own, with resets, undos and reads among their adds."""

import asyncio
import json
import random
import sys
from contextlib import asynccontextmanager
from itertools import accumulate
from pathlib import Path

import pytest

from tally.ledger.resets import NotUndoable
from tally.ledger.schema import from_numeric

ADDERS = 4
UNDOS = 20
HAMMER = Path(__file__).with_name("hammer.py")


@asynccontextmanager
async def adders(url):
    """Let adders go for the block, and longer until each has added; give what they were told."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, HAMMER, url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(ADDERS)
    ]
    told = []
    try:
        for process in processes:
            assert await process.stdout.readline() == b"ready\n"
        for process in processes:
            process.stdin.write(b"go\n")
        yield told
        outputs = await asyncio.gather(*(process.communicate(b"") for process in processes))
        assert [process.returncode for process in processes] == [0] * ADDERS
        told += [json.loads(line) for output, _ in outputs for line in output.splitlines()]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def reset_and_undo(resets):
    """Clear and give back at random."""
    undone = 0
    while undone < UNDOS:
        await asyncio.sleep(random.uniform(0, 0.05))
        reset, _ = await resets.reset()
        while random.random() < 0.6:
            await asyncio.sleep(random.uniform(0, 0.02))
            newest = random.choice([reset.id, *(past.id for past in await resets.past(limit=5))])
            try:
                await resets.undo(newest)
                undone += 1
            except NotUndoable:
                continue


async def read(reader, seen):
    """Read the total over and over, until cancelled."""
    while True:
        seen.append(await reader.total())
        overview = await reader.overview()
        seen.append(overview.total)
        await asyncio.sleep(0.005)


@pytest.fixture
async def aftermath(ledger, owner, reader, resets):
    """What all were told while everything went on at once, and what is in the table then."""
    seen = []
    async with adders(ledger.url("tally_adder")) as told:
        reading = asyncio.create_task(read(reader, seen))
        await reset_and_undo(resets)
        reading.cancel()
        await asyncio.wait([reading])
    rows = await owner.fetch("SELECT id, value, sum_after FROM tally.entry ORDER BY id")
    entries = [
        (row["id"], from_numeric(row["value"]), from_numeric(row["sum_after"])) for row in rows
    ]
    assert seen
    return told, seen, entries


async def test_nothing_is_missing_doubled_or_wrong(aftermath, reader, drift):
    told, seen, entries = aftermath
    assert [row[0] for row in entries] == list(range(1, len(entries) + 1))
    assert await drift() is None

    # Every reply tells the sum right after its own last entry, also when it is told again.
    values = {entry_id: value for entry_id, value, _ in entries}
    sums = {entry_id: sum_after for entry_id, _, sum_after in entries}
    for sent, first_id, last_id, sum_after, _, _ in told:
        assert [values[entry_id] for entry_id in range(first_id, last_id + 1)] == sent
        assert sums[last_id] == sum_after

    # Every entry was acknowledged as new to exactly one.
    acknowledged = [
        entry_id
        for _, first_id, last_id, _, _, replayed in told
        if not replayed
        for entry_id in range(first_id, last_id + 1)
    ]
    assert sorted(acknowledged) == list(values)
    assert any(replayed for *_, replayed in told)

    # Every total that was seen was the sum of the entries from some id to the last one.
    through = [0, *accumulate(values.values())]
    for total in seen:
        assert total.sum == through[total.last_id] - through[total.last_id - total.count]
    final = await reader.total()
    assert final.last_id == len(entries)
