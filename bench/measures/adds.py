"""Single adds: one value a request, each durable before it is answered."""

from collections.abc import Callable
from contextlib import ExitStack

from bench.goals import Measure, at_least, at_most
from bench.load.redis import increment, redis_server
from bench.process import Missing
from bench.rounds import Figures
from bench.runner import CLIENTS, ENTRIES, HOT_ROW_TABLES, NAIVE_TABLES, PGBENCH_TABLES, Runner

RATE = Measure("adds", "single adds a second, 64 connections, one adder process", "adds/s")
AGAINST = {
    "naive": Measure("adds/naive", "... against naive", must=at_least(15), aim=at_least(30)),
    "hot row": Measure("adds/hot-row", "... against the hot row"),
    "pgbench": Measure(
        "adds/pgbench", "... against pgbench INSERT", must=at_least(0.8), aim=at_least(1.5)
    ),
    "pgbench + total": Measure(
        "adds/pgbench-total",
        "... against pgbench INSERT + total",
        must=at_least(10),
        aim=at_least(25),
    ),
    "Redis": Measure(
        "adds/redis",
        "... against Redis INCRBY, fsync always",
        must=at_least(0.25),
        aim=at_least(0.5),
    ),
    "no ledger": Measure(
        "adds/ceiling",
        "... against the same code without a ledger",
        must=at_least(0.65),
        aim=at_least(0.85),
    ),
    "bare server": Measure("adds/bare", "... against the bare HTTP server"),
}
P99 = Measure(
    "adds/p99",
    "their 99th percentile latency, against pgbench INSERT's",
    must=at_most(1.0),
    aim=at_most(0.5),
)


def run(runner: Runner) -> None:
    """Tally beside all its peers, 64 clients each."""
    with ExitStack() as stack:
        rounds = runner.interleave("adds", _candidates(runner, stack))
    runner.findings.add(RATE, rounds.spread("Tally"), rounds)
    for peer, measure in AGAINST.items():
        if peer in rounds.figures:
            runner.findings.add(measure, rounds.ratio("Tally", peer), rounds)
    runner.findings.add(P99, rounds.ratio("Tally", "pgbench", "p99"), rounds)


def _candidates(runner: Runner, stack: ExitStack) -> dict[str, Callable[[], Figures]]:
    use = stack.enter_context
    ledger = use(runner.ledger("adds"))
    tally = use(runner.tally("adder", ledger))
    no_ledger = use(runner.no_ledger(ledger))
    naive = use(runner.flask("naive", use(runner.tables("naive", *NAIVE_TABLES))))
    hot_row = use(runner.flask("hot_row", use(runner.tables("hot-row", *HOT_ROW_TABLES))))
    bare = use(runner.bare())
    tables = use(runner.tables("pgbench", *PGBENCH_TABLES))
    candidates: dict[str, Callable[[], Figures]] = {
        "Tally": lambda: runner.load("add", tally.url + ENTRIES),
        "naive": lambda: runner.load("add", f"{naive.url}/entries"),
        "hot row": lambda: runner.load("add", f"{hot_row.url}/entries"),
        "pgbench": lambda: runner.pgbench(tables, "insert.sql"),
        "pgbench + total": lambda: runner.pgbench(tables, "insert_and_total.sql"),
        "no ledger": lambda: runner.load("add", no_ledger.url + ENTRIES),
        "bare server": lambda: runner.load("add", f"{bare.url}/"),
    }
    try:
        port = stack.enter_context(redis_server(runner.folder / "redis"))
    except Missing as missing:
        runner.findings.leave_out(AGAINST["Redis"].what, missing)
    else:
        requests = 30_000 * runner.pace.seconds
        candidates["Redis"] = lambda: increment(port, clients=CLIENTS, requests=requests)
    return candidates
