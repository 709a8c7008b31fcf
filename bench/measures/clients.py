"""Throughput and latency of single adds by the number of clients."""

from contextlib import ExitStack

from bench.goals import Measure, at_most
from bench.runner import ENTRIES, NAIVE_TABLES, PGBENCH_TABLES, Runner

NUMBERS = (1, 4, 16, 64, 256, 1024)
# pgbench's clients are connections to PostgreSQL, of which it has room for so many.
MOST_CONNECTIONS = 256

ONE_CLIENT = Measure(
    "clients/one",
    "one client, median latency, against pgbench's with one client",
    must=at_most(4),
    aim=at_most(2),
)


def run(runner: Runner) -> None:
    """Tally, the naive peer and pgbench at each number of clients."""
    with ExitStack() as stack:
        use = stack.enter_context
        adds = use(runner.tally("adder", use(runner.ledger("clients")))).url + ENTRIES
        tables = use(runner.tables("clients-naive", *NAIVE_TABLES))
        naive = use(runner.flask("naive", tables)).url + "/entries"
        pgbench = use(runner.tables("clients-pgbench", *PGBENCH_TABLES))
        candidates = {}
        for number in NUMBERS:
            candidates[f"Tally, {number}"] = lambda number=number: runner.load("add", adds, number)
            if number > MOST_CONNECTIONS:
                continue
            candidates |= {
                f"naive, {number}": lambda number=number: runner.load("add", naive, number),
                f"pgbench, {number}": lambda number=number: runner.pgbench(
                    pgbench, "insert.sql", number
                ),
            }
        rounds = runner.interleave("clients", candidates, runner.pace.heavy_rounds)
    runner.findings.add(ONE_CLIENT, rounds.ratio("Tally, 1", "pgbench, 1", "p50"), rounds)
