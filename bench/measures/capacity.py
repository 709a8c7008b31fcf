"""How much one display serves when it is held to a share of a processor, as a container is."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench.cgroup import held_to
from bench.goals import Measure, at_least
from bench.load.wrk import wrk
from bench.process import Process
from bench.rounds import Figures, shown
from bench.runner import PAGE, TOTAL, Runner, progress

QUOTAS = (0.25, 0.5, 1.0)
_ENTRIES = 10**6
_SLOW_MS = 100.0
# From what barely keeps it busy to what makes all wait.
_LADDER = (1, 2, 8, 32, 128)
_STEP_SECONDS = 3
_GOALS = {(PAGE, 0.25): {"must": at_least(600), "aim": at_least(1500)}}

MEASURES = {
    (path, quota): Measure(
        f"capacity/{name}-{quota:g}",
        f"{title} from one display held to {quota:g} processor, 99th percentile under 100 ms",
        "requests/s",
        **_GOALS.get((path, quota), {}),
    )
    for path, name, title in ((TOTAL, "total", "GET .../total"), (PAGE, "page", "display page"))
    for quota in QUOTAS
}


def run(runner: Runner) -> None:
    """Totals and pages at each quota."""
    with ExitStack() as stack:
        display = stack.enter_context(runner.tally("display", runner.filled(_ENTRIES)))
        candidates: dict[str, Callable[[], Figures]] = {
            measure.name: partial(_most, display, path, quota)
            for (path, quota), measure in MEASURES.items()
        }
        rounds = runner.interleave("capacity", candidates, runner.pace.heavy_rounds)
    for measure in MEASURES.values():
        runner.findings.add(measure, rounds.spread(measure.name), rounds)


def _most(display: Process, path: str, quota: float) -> Figures:
    """The greatest rate at which answers are not slow; zero where they always are."""
    best: Figures = {"rate": 0.0, "p99": 0.0, "connections": 0.0}
    with held_to(quota, display.pid):
        wrk("get", display.url + path, connections=1, seconds=1)  # what the first one compiles
        for connections in _LADDER:
            found = wrk("get", display.url + path, connections=connections, seconds=_STEP_SECONDS)
            progress(f"capacity: {connections} connections, {shown(found)}")
            if found["p99"] < _SLOW_MS and found["rate"] > best["rate"]:
                best = {"rate": found["rate"], "p99": found["p99"], "connections": connections}
    return best
