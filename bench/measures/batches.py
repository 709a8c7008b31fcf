"""Batches: a thousand values a request, all or none."""

from bench.goals import Measure, at_least
from bench.rounds import Figures
from bench.runner import ENTRIES, PGBENCH_TABLES, Runner

VALUES = 1000  # as many as add_batch.lua sends
# Enough that some wait while others are parsed and committed; their values fit into the queue.
_CONNECTIONS = 16

RATE = Measure("batches", "batches of 1,000 values, values a second", "values/s")
AGAINST_PGBENCH = Measure(
    "batches/pgbench", "... against pgbench INSERT", must=at_least(4), aim=at_least(10)
)


def run(runner: Runner) -> None:
    """Values a second in batches, beside rows a second one by one."""
    with (
        runner.ledger("batches") as ledger,
        runner.tally("adder", ledger) as adder,
        runner.tables("batches-pgbench", *PGBENCH_TABLES) as tables,
    ):

        def batches() -> Figures:
            figures = runner.load("add_batch", adder.url + ENTRIES, _CONNECTIONS)
            return {**figures, "rate": figures["rate"] * VALUES}

        rounds = runner.interleave(
            "batches",
            {"Tally": batches, "pgbench": lambda: runner.pgbench(tables, "insert.sql")},
        )
    runner.findings.add(RATE, rounds.spread("Tally"), rounds)
    runner.findings.add(AGAINST_PGBENCH, rounds.ratio("Tally", "pgbench"), rounds)
