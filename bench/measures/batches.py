"""Batches: a thousand values a request, all or none."""

from bench.goals import Measure, at_least
from bench.rounds import Figures
from bench.testbed import ENTRIES, PGBENCH_TABLES, Testbed

VALUES = 1000  # as many as add_batch.lua sends
# Enough that some wait while others are parsed and committed; their values fit into the queue.
_CONNECTIONS = 16

RATE = Measure("batches", "batches of 1,000 values, values a second", "values/s")
AGAINST_PGBENCH = Measure(
    "batches/pgbench", "... against pgbench INSERT", must=at_least(4), aim=at_least(10)
)


def run(testbed: Testbed) -> None:
    """Values a second in batches, beside rows a second one by one."""
    with (
        testbed.ledger("batches") as ledger,
        testbed.tally("adder", ledger) as adder,
        testbed.tables("batches-pgbench", *PGBENCH_TABLES) as tables,
    ):

        def batches() -> Figures:
            figures = testbed.load("add_batch", adder.url + ENTRIES, _CONNECTIONS)
            return {**figures, "rate": figures["rate"] * VALUES}

        rounds = testbed.interleave(
            "batches",
            {"Tally": batches, "pgbench": lambda: testbed.pgbench(tables, "insert.sql")},
        )
    testbed.findings.add(RATE, rounds.spread("Tally"), rounds)
    testbed.findings.add(AGAINST_PGBENCH, rounds.ratio("Tally", "pgbench"), rounds)
