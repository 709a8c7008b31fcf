"""`tally up` under load, killed together with its PostgreSQL, then asked to stop.

One process is every service here, and the embedded server is its own. Clients and checkers are
those of the fault run.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from faults import checkers
from faults.clients import Load
from faults.final_state import record_final_state
from faults.history import Exit, Fault, History, Start
from faults.httpclient import Address
from faults.recorder import Recorder
from tally.embedded import postgres

pytestmark = pytest.mark.proofs  # it counts how soon the service is back

SEED = 20261124
NAME = "up-1"
# Requests before each fault: enough that some of every kind are under way when it comes.
CALM_REQUESTS = 1000
# Six times what is allowed, so that the checker is told how long it took.
BACK_SECONDS = 60


async def test_everything_in_one_process(tally_up: Callable) -> None:
    running = tally_up()
    data = running.folder / "data"
    place = Address(NAME, int(running.url.rpartition(":")[2]))
    history = History()
    recorder = Recorder(history)
    recorder.record(Start(NAME, time.monotonic()))
    load = Load(recorder, random.Random(SEED), [place, place], [place], place)

    async def start_again(fault: str, began: float) -> None:
        nonlocal running
        ended = time.monotonic()
        recorder.record(Fault(fault, began, ended, ended))
        running = await asyncio.to_thread(tally_up, running.folder, PORT=str(place.port))
        async with asyncio.timeout(BACK_SECONDS):
            while not recorder.has_answered([NAME], ended):  # noqa: ASYNC110 - it is noted, not told
                await asyncio.sleep(0.01)

    async def calm() -> None:
        answered = sum(1 for _ in history.attempts()) + CALM_REQUESTS
        async with asyncio.timeout(BACK_SECONDS):
            while sum(1 for _ in history.attempts()) < answered:  # noqa: ASYNC110 - it is noted, not told
                await asyncio.sleep(0.1)

    load.start()
    try:
        for _ in range(2):
            await calm()
            server = postgres.running(data)
            began = time.monotonic()
            os.kill(server.pid, signal.SIGKILL)
            running.process.kill()
            running.process.wait()
            await start_again("everything killed", began)
        await calm()
        asked = time.monotonic()
        status = await asyncio.to_thread(running.stop)
        recorder.record(Exit(NAME, time.monotonic(), status, signal.SIGTERM, asked))
        await start_again("asked to stop", asked)
        await load.stop()
    finally:
        load.cancel()
    await record_final_state(postgres.running(data).admin_url, recorder)
    verdicts = checkers.check(history)
    assert [finding for verdict in verdicts for finding in verdict.findings] == []
    facts = {verdict.checker: verdict.facts for verdict in verdicts}
    assert facts["durable_once"] > 1000, "too little load to show anything"
    assert facts["graceful_stop"] > 1, "nothing was under way when it was asked to stop"
