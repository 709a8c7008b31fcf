"""Reset and undo: a line is moved, so the number of entries should not matter."""

import http.client
import json
import statistics
import time
from contextlib import closing

from bench.goals import Measure, at_most
from bench.process import HOST, Process
from bench.rounds import Figures, Invalid
from bench.runner import RESETS, Runner

FEW = 10

RESET = Measure(
    "resets/reset", "reset at {many:,} entries against 10", must=at_most(1.2), aim=at_most(1.0)
)
UNDO = Measure(
    "resets/undo", "undo at {many:,} entries against 10", must=at_most(1.2), aim=at_most(1.0)
)


class Failed(Invalid):
    """A reset or an undo was refused."""


def run(runner: Runner) -> None:
    """Resets and undoes, one after the other, on both ledgers."""
    many, seconds = runner.pace.many, runner.pace.seconds
    with (
        runner.tally("reset", runner.filled(FEW)) as small,
        runner.tally("reset", runner.filled(many)) as large,
    ):
        rounds = runner.interleave(
            "resets",
            {
                "few": lambda: _there_and_back(small, seconds),
                "many": lambda: _there_and_back(large, seconds),
            },
        )
    runner.findings.add(RESET.about(many=many), rounds.ratio("many", "few", "reset"), rounds)
    runner.findings.add(UNDO.about(many=many), rounds.ratio("many", "few", "undo"), rounds)


def _there_and_back(service: Process, seconds: float) -> Figures:
    """Reset and undo for some seconds; median milliseconds of each."""
    resets, undoes = [], []
    with closing(http.client.HTTPConnection(HOST, service.port)) as connection:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            made, took = _timed(connection, "POST", RESETS, 201)
            resets.append(took)
            _, took = _timed(connection, "DELETE", f"{RESETS}/{json.loads(made)['id']}", 200)
            undoes.append(took)
    return {"reset": statistics.median(resets), "undo": statistics.median(undoes)}


def _timed(
    connection: http.client.HTTPConnection, method: str, path: str, wanted: int
) -> tuple[bytes, float]:
    """Make a request; returns the body and the milliseconds it took."""
    began = time.perf_counter()
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    took = (time.perf_counter() - began) * 1e3
    if response.status != wanted:
        raise Failed(f"{method} {path}: {response.status} {body!r}")
    return body, took
