"""Live viewers: how soon they see a change, and what they cost."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection

from bench.goals import Measure, at_least, at_most
from bench.process import HOST, ROOT, NotStarted, Process
from bench.rounds import Figures
from bench.runner import ENTRIES, Runner

NUMBER = 1000  # those of the goals
NUMBERS = (100, 300, NUMBER, 3000)
# Adds whose arrival is timed, at random moments so that none follow the display's own beat.
_ADDS = 20
_PAUSES = (0.2, 0.6)
_CLOSE_SECONDS = 30

SEEN = Measure(
    "viewers/seen",
    "1,000 live viewers: a change is seen, 99th percentile",
    "ms",
    must=at_most(500),
    aim=at_most(300),
)
ADDS = Measure(
    "viewers/adds",
    "... add throughput, against without viewers",
    must=at_least(0.9),
    aim=at_least(0.97),
)
MEMORY = Measure("viewers/memory", "... memory a viewer", "KB", must=at_most(60), aim=at_most(20))


def run(runner: Runner) -> None:
    """Adds with and without viewers, and single changes that all of them wait for."""
    with runner.ledger("viewers") as ledger, runner.tally("adder", ledger) as adder:

        def seen(number: int) -> Figures:
            # A display of its own, which has not yet kept memory from earlier viewers.
            with runner.tally("display", ledger) as display:
                before = display.memory()
                with _viewers(display, number) as crowd:
                    memory = (display.memory() - before) * 1024 / number
                    late = _changes(crowd, adder)
            return {**late, "memory": memory}

        changes = runner.interleave(
            "viewers", {str(number): partial(seen, number) for number in NUMBERS}, 1
        )
        with runner.tally("display", ledger) as display:

            def watched(number: int) -> Figures:
                with _viewers(display, number):
                    return runner.load("add", adder.url + ENTRIES)

            adds = runner.interleave(
                "adds with viewers",
                {
                    "0": lambda: runner.load("add", adder.url + ENTRIES),
                    **{str(number): partial(watched, number) for number in NUMBERS},
                },
            )
    most = str(NUMBER)
    runner.findings.add(SEEN, changes.spread(most, "p99"), changes)
    runner.findings.add(ADDS, adds.ratio(most, "0"), adds)
    runner.findings.add(MEMORY, changes.spread(most, "memory"), changes)


@contextmanager
def _viewers(display: Process, number: int) -> Iterator[subprocess.Popen[str]]:
    """Have so many viewers watch for the block."""
    crowd = subprocess.Popen(
        [sys.executable, "-m", "bench.viewers", str(display.port), str(number)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert crowd.stdout
    try:
        if crowd.stdout.readline() != "ready\n":
            raise NotStarted("the viewers could not all watch")
        yield crowd
        crowd.communicate(timeout=_CLOSE_SECONDS)
    finally:
        crowd.kill()
        crowd.wait()


def _changes(crowd: subprocess.Popen[str], adder: Process) -> Figures:
    """Add now and then; returns in milliseconds how long after each answer the viewers saw it."""
    said = []
    connection = HTTPConnection(HOST, adder.port)
    for _ in range(_ADDS):
        time.sleep(random.uniform(*_PAUSES))
        body = b'{"value": 1}'
        connection.request("POST", ENTRIES, body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        said.append(f"{time.monotonic()} {answer['count']}\n")
    connection.close()
    output, _ = crowd.communicate("".join(said), timeout=_CLOSE_SECONDS)
    figures: Figures = json.loads(output)
    return figures
