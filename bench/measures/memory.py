"""The adder's memory: small, and the same after any number of adds."""

from bench.goals import Measure, at_most
from bench.load.wrk import wrk
from bench.rounds import Rounds, Spread
from bench.runner import ENTRIES, Runner, progress

CLIENTS = 256
ADDS = 10**6
# How much more after twice the adds still counts as flat: caches and the allocator settle.
_FLAT_MB = 5
# Between two looks at the memory.
_STRETCH_SECONDS = 5

AFTER = Measure(
    "memory",
    "adder, resident memory at 256 clients after 1,000,000 adds",
    "MB",
    must=at_most(120),
    aim=at_most(80),
)
GROWTH = Measure(
    "memory/growth", "... growth in the second half of them", "MB", must=at_most(_FLAT_MB)
)


def run(runner: Runner) -> None:
    """Load until enough was added; memory after each stretch of it."""
    curve: list[list[float]] = []
    with runner.ledger("memory") as ledger, runner.tally("adder", ledger) as adder:
        added = 0
        while added < ADDS:
            wrk("add", adder.url + ENTRIES, connections=CLIENTS, seconds=_STRETCH_SECONDS)
            added = int(str(runner.cluster.value(ledger, "SELECT count FROM tally.total")))
            curve.append([added, adder.memory()])
            progress(f"memory: {added:,} adds, {curve[-1][1]:.1f} MB")
    runner.findings.series["memory"] = curve
    half = next(memory for count, memory in curve if count >= ADDS / 2)
    last = curve[-1][1]
    once = Rounds({})
    runner.findings.add(AFTER, Spread.of([last]), once)
    runner.findings.add(GROWTH, Spread.of([last - half]), once)
