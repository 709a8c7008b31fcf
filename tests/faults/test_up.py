"""`tally up` under load, killed together with its PostgreSQL, then asked to stop.

One process is every service here, and the embedded server is its own. Clients and judge are those
of the fault run.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace

from faults import checkers, conduct
from faults.clients import Books, Load
from faults.history import Fault, History
from faults.httpclient import Address
from faults.injection import Stopping
from faults.inspection import inspect
from tally.embedded import postgres

SEED = 20261124
NAME = "up-1"
CALM_SECONDS = 2
# Three times what is allowed, so that the judge is told how long it took.
BACK_SECONDS = 30


async def test_everything_in_one_process(tally_up: Callable) -> None:
    running = tally_up()
    data = running.folder / "data"
    place = Address(NAME, int(running.url.rpartition(":")[2]))
    history = History()
    books = Books(history)
    load = Load(books, random.Random(SEED), [place, place], [place], place)
    back = []

    async def start_again(fault: str, struck: float) -> None:
        nonlocal running
        ended = time.monotonic()
        history.mark(Fault(fault, struck, ended))
        running = await asyncio.to_thread(tally_up, running.folder, PORT=str(place.port))
        async with asyncio.timeout(BACK_SECONDS):
            while not books.has_answered([NAME], ended):  # noqa: ASYNC110 - it is noted, not told
                await asyncio.sleep(0.01)
        back.append((fault, time.monotonic() - ended))

    load.start()
    try:
        for _ in range(2):
            await asyncio.sleep(CALM_SECONDS)
            server = postgres.running(data)
            struck = time.monotonic()
            os.kill(server.pid, signal.SIGKILL)
            running.process.kill()
            running.process.wait()
            await start_again("everything killed", struck)
        await asyncio.sleep(CALM_SECONDS)
        asked = time.monotonic()
        status = await asyncio.to_thread(running.stop)
        stopped = Stopping(NAME, asked, time.monotonic() - asked, status)
        await start_again("asked to stop", asked)
        await load.stop()
    finally:
        load.cancel()
    final = replace(await inspect(postgres.running(data).admin_url), back=back)
    verdicts = checkers.examine(history, final) + conduct.examine(
        history, final, strikes=[], services=[], stopped=[stopped], migrations=[]
    )
    assert [finding for verdict in verdicts for finding in verdict.findings] == []
    facts = {verdict.checker: verdict.facts for verdict in verdicts}
    assert facts["durable_once"] > 1000, "too little load to show anything"
    assert facts["graceful stop"] > 1, "nothing was under way when it was asked to stop"
