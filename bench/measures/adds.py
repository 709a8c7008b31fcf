"""Single adds: one value a request, each durable before it is answered."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench.goals import Measure, at_least, at_most
from bench.load.redis import increment, redis_server
from bench.process import Missing, Process
from bench.rounds import Figures, with_costs
from bench.runner import CLIENTS, ENTRIES, HOT_ROW_TABLES, NAIVE_TABLES, PGBENCH_TABLES, Runner

RATE = Measure("adds", "single adds a second, 64 connections, one adder process", "adds/s")
AGAINST = {
    "naive": Measure("adds/naive", "... against naive", must=at_least(15), aim=at_least(30)),
    "hot row": Measure("adds/hot-row", "... against the hot row"),
    "FastAPI": Measure("adds/fast-api", "... against FastAPI and asyncpg, INSERT"),
    "Go": Measure("adds/go", "... against Go, INSERT", must=at_least(2), aim=at_least(2.5)),
    "Go + total": Measure(
        "adds/go-total",
        "... against Go, INSERT + total",
        must=at_least(15),
        aim=at_least(25),
    ),
    "Go, group commit": Measure(
        "adds/go-group", "... against Go with group commit", must=at_least(0.7), aim=at_least(1)
    ),
    "pgbench": Measure(
        "adds/pgbench", "... against pgbench INSERT", must=at_least(1), aim=at_least(1.5)
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
    "webdis": Measure("adds/webdis", "... against Redis behind webdis, INCRBYFLOAT, fsync always"),
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
COSTS = {
    "server": Measure(
        "adds/cost", "processor time of an add: the adder", "us", must=at_most(24), aim=at_most(16)
    ),
    "database": Measure(
        "adds/cost-database", "... PostgreSQL", "us", must=at_most(9), aim=at_most(6)
    ),
}


def run(runner: Runner) -> None:
    """Tally beside all its peers, 64 clients each."""
    with ExitStack() as stack:
        rounds = runner.interleave("adds", candidates(runner, stack))
    runner.findings.add(RATE, rounds.spread("Tally"), rounds)
    for peer, measure in AGAINST.items():
        if peer in rounds.figures:
            runner.findings.add(measure, rounds.ratio("Tally", peer), rounds)
    runner.findings.add(P99, rounds.ratio("Tally", "pgbench", "p99"), rounds)
    for part, measure in COSTS.items():
        runner.findings.add(measure, rounds.cost("Tally", part), rounds)


def candidates(runner: Runner, stack: ExitStack) -> dict[str, Callable[[], Figures]]:
    """How each is loaded, started on the stack; one that can't be is left out, and it is said."""
    use = stack.enter_context
    postgres = runner.cluster.server.pid
    tables = use(runner.tables("pgbench", *PGBENCH_TABLES))
    starts: dict[str, Callable[[], Callable[[], Figures]]] = {
        "Tally": lambda: http(use(runner.tally("adder", use(runner.ledger("adds")))), ENTRIES),
        "naive": lambda: http(
            use(runner.flask("naive", use(runner.tables("naive", *NAIVE_TABLES))))
        ),
        "hot row": lambda: http(
            use(runner.flask("hot_row", use(runner.tables("hot-row", *HOT_ROW_TABLES))))
        ),
        "FastAPI": lambda: http(use(runner.fast_api())),
        "Go": lambda: http(use(runner.go("insert"))),
        "Go + total": lambda: http(use(runner.go("total"))),
        "Go, group commit": lambda: http(use(runner.go("group"))),
        "pgbench": lambda: partial(runner.pgbench, tables, "insert.sql"),
        "pgbench + total": lambda: partial(runner.pgbench, tables, "insert_and_total.sql"),
        "no ledger": lambda: http(
            use(runner.no_ledger(use(runner.ledger("no-ledger")))), ENTRIES, database=None
        ),
        "bare server": lambda: http(use(runner.bare()), "/", database=None),
        "Redis": lambda: _redis(runner, use(redis_server(runner.folder / "redis"))),
        "webdis": lambda: webdis(*use(runner.webdis())),
    }

    def http(
        server: Process,
        path: str = "/entries",
        database: int | None = postgres,
        script: str = "add",
    ) -> Callable[[], Figures]:
        families = {"server": server.pid} | ({"database": database} if database else {})
        return partial(runner.load, script, server.url + path, families=families)

    def webdis(server: Process, redis: Process) -> Callable[[], Figures]:
        return http(server, "/", redis.pid, "webdis")

    candidates = {}
    for name, start in starts.items():
        try:
            candidates[name] = start()
        except Missing as missing:
            runner.findings.leave_out(AGAINST[name].what, missing)
    return candidates


def _redis(runner: Runner, redis: Process) -> Callable[[], Figures]:
    requests = 30_000 * runner.pace.seconds
    load = partial(increment, redis.port, clients=CLIENTS, requests=requests)
    return partial(with_costs, load, {"database": redis.pid})
