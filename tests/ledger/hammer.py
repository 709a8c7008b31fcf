"""One adder among several: adds as fast as it can, then tells each answer as a line of JSON.

Run as a script: hammer.py URL. It says that it is ready, begins at a line of its input, and stops
at the end of the input. Keys are shared by all that run at once, and so are
the values under them, so that the same request reaches the database from several sides.
"""

import asyncio
import itertools
import json
import random
import sys

from tally.ledger.database import Database
from tally.ledger.writer import Key, Writer

LARGEST = 10**27 - 1
CLIENTS = 12
LEAST = 10  # answers, however late this process gets its turn


def request(turn):
    """A request without a key, or one that every other adder makes as well."""
    if random.random() < 0.5:
        values = [random.randrange(-LARGEST, LARGEST) for _ in range(random.choice([1, 1, 1, 20]))]
        return values, None
    name = f"shared-{turn // 4}"
    values = [random.Random(name).randrange(-LARGEST, LARGEST)]
    return values, Key.of(name, values, batch=False)


async def client(writer, turns, stop, done):
    while not (stop.done() and len(done) >= LEAST):
        values, key = request(next(turns))
        added = await writer.add(values, key)
        done.append((values, added.first_id, added.last_id, added.sum, added.count, added.replayed))


async def main(url):
    database = Database(url, timeout=60)
    writer = Writer(database, queue_limit=10_000)
    writer.start()
    # So that all begin at once, each waits for the word.
    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)
    stop = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    done = []
    turns = itertools.count()
    await asyncio.gather(*(client(writer, turns, stop, done) for _ in range(CLIENTS)))
    await writer.close(grace=60)
    await database.close()
    for answer in done:
        print(json.dumps(answer))  # noqa: T201 - the output is the purpose


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
