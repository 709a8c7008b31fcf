"""Runs measurements: the cluster, the pace, and the candidates' servers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.database import Cluster
from bench.filling import fill_ledger, fill_naive
from bench.goals import Measure, Result
from bench.load.redis import redis_server, webdis
from bench.load.wrk import wrk
from bench.process import ROOT, NotInstalled, Process, need, serving
from bench.rounds import Figures, Rounds, Spread, interleave, with_costs

CLIENTS = 64
ENTRIES = "/adder_service/entries"
TOTAL = "/display_service/total"
PAGE = "/display_service"
EVENTS = "/display_service/events"
EXPORT = "/display_service/entries.csv"
RESETS = "/reset_service/resets"
_PEERS = Path(__file__).parent / "peers"
_GO_SOURCES = Path("/usr/share/gocode")
_GO_PACKAGES = {
    "golang-github-jackc-pgx-v4-dev": "github.com/jackc/pgx/v4",
    "golang-github-shopspring-decimal-dev": "github.com/shopspring/decimal",
}
# A connection for each client: a commit is mostly waiting, and PostgreSQL syncs for many at once.
_GO_POOL = "pool_max_conns=64"


@dataclass(frozen=True)
class Pace:
    """How long and how often things are measured."""

    rounds: int = 5
    seconds: int = 5
    warm_up: int = 1
    """Seconds of load before each run that count for nothing."""
    slow_seconds: int = 10
    """Seconds of load on what may take seconds to answer, such as a sum of `many` values."""
    many: int = 10**7
    """Entries of a large ledger."""
    heavy_rounds: int = 3
    """Rounds of what takes most of a minute each."""


FULL = Pace()
# wrk counts in whole seconds, and pgbench too.
QUICK = Pace(rounds=3, seconds=1, slow_seconds=2, many=10**6, heavy_rounds=1)


@dataclass
class Findings:
    """All that was found, in the order in which it was."""

    results: list[Result] = field(default_factory=list)
    rounds: dict[str, Rounds] = field(default_factory=dict)
    series: dict[str, object] = field(default_factory=dict)
    """What only plots show, by name."""
    failed: bool = False
    """Whether anything went wrong."""
    left_out: list[dict[str, str]] = field(default_factory=list)

    def add(self, measure: Measure, spread: Spread, rounds: Rounds) -> None:
        self.results.append(Result.of(measure, spread, rounds))

    def leave_out(self, what: str, because: object) -> None:
        """Say that something was not measured, and why."""
        self.left_out.append({"what": what, "because": str(because)})
        progress(f"left out: {what}, because {because}")


def progress(text: str) -> None:
    """Print how far it is."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Runner:
    """What every measurement gets."""

    cluster: Cluster
    folder: Path
    pace: Pace
    findings: Findings

    def interleave(
        self, name: str, candidates: Mapping[str, Callable[[], Figures]], rounds: int | None = None
    ) -> Rounds:
        """Measure candidates round by round, and keep their figures under a name."""
        measured = interleave(
            candidates,
            rounds or self.pace.rounds,
            lambda text: progress(f"{name}: {text}"),
            self.cluster.settle,
        )
        self.findings.rounds[name] = measured
        return measured

    def load(
        self,
        script: str,
        url: str,
        connections: int = CLIENTS,
        families: Mapping[str, int] = {},
    ) -> Figures:
        """Warm up with a script of wrk's, then load; returns figures, with costs of families."""
        wrk(script, url, connections=connections, seconds=self.pace.warm_up)
        return with_costs(
            lambda: wrk(script, url, connections=connections, seconds=self.pace.seconds), families
        )

    def load_slow(self, url: str, connections: int) -> Figures:
        """Read what may take seconds to answer: for longer, and without a warm-up."""
        return wrk("get", url, connections=connections, seconds=self.pace.slow_seconds)

    def pgbench(self, database: str, script: str, clients: int = CLIENTS) -> Figures:
        """The same by pgbench, with a script of the peers'."""

        def run(seconds: int | None) -> Figures:
            return with_costs(
                lambda: self.cluster.pgbench(
                    database, _PEERS / script, clients=clients, seconds=seconds
                ),
                {"database": self.cluster.server.pid},
            )

        run(self.pace.warm_up)
        # Each run begins its sessions anew, which others don't: no request is to pay for that.
        sessions, figures = run(None), run(self.pace.seconds)
        for cost in ("database user", "database kernel"):
            figures[cost] -= sessions[cost] * sessions["requests"] / figures["requests"]
        return figures

    @contextmanager
    def ledger(self, name: str) -> Iterator[str]:
        """A database with an empty ledger, for the block."""
        self.cluster.create_ledger(name)
        yield name
        self.cluster.drop(name)

    def tally(self, service: str, ledger: str) -> AbstractContextManager[Process]:
        """One service of Tally's, as a service manager runs it, with default settings."""
        return serving(
            service,
            [sys.executable, "-m", "tally", "serve", service, "--port", "{port}"],
            self.folder,
            path=f"/{service}_service/healthz",
            environment={"TALLY_DATABASE_URL": self.cluster.url(ledger, f"tally_{service}")},
        )

    def no_ledger(self, ledger: str) -> AbstractContextManager[Process]:
        """Tally's adder without its ledger."""
        return serving(
            "no-ledger",
            [sys.executable, "-m", "bench.peers.no_ledger", "{port}"],
            self.folder,
            path="/adder_service/healthz",
            environment={"TALLY_DATABASE_URL": self.cluster.url(ledger, "tally_adder")},
        )

    def bare(self) -> AbstractContextManager[Process]:
        """The HTTP server with the smallest handler."""
        command = [sys.executable, "-m", "bench.peers.bare", "{port}"]
        return serving("bare", command, self.folder, path="/")

    @contextmanager
    def go(self, way: str) -> Iterator[Process]:
        """The Go peer in one of its ways, on tables of its own; raises `NotInstalled`."""
        program = self._go_program()
        with (
            self.tables(f"go-{way}", *PGBENCH_TABLES) as database,
            serving(
                f"go-{way}",
                [str(program), way, "{port}"],
                self.folder,
                path="/total",
                environment={"DATABASE_URL": _with_option(self.cluster.url(database), _GO_POOL)},
            ) as process,
        ):
            yield process

    def _go_program(self) -> Path:
        """Build the Go peer from Debian's packages alone: no module is fetched."""
        program = self.folder / "go-peer"
        go = need("go")
        for package, path in _GO_PACKAGES.items():
            if not (_GO_SOURCES / "src" / path).is_dir():
                raise NotInstalled(path, package)
        if not program.exists():
            subprocess.run(
                [go, "build", "-o", str(program), str(_PEERS / "go/main.go")],
                check=True,
                env={
                    **os.environ,
                    "GO111MODULE": "off",
                    "GOPATH": str(_GO_SOURCES),
                    "GOFLAGS": "",
                    "GOCACHE": str(ROOT / ".cache/go"),
                },
            )
        return program

    @contextmanager
    def fast_api(self) -> Iterator[Process]:
        """The FastAPI peer on tables of its own, with a worker a core."""
        command = [
            *(sys.executable, "-m", "uvicorn", "--port", "{port}"),
            *("--workers", str(os.cpu_count() or 1), "bench.peers.fast_api:app"),
        ]
        with (
            self.tables("fast-api", *PGBENCH_TABLES) as database,
            serving(
                "fast-api",
                command,
                self.folder,
                path="/total",
                environment={"DATABASE_URL": self.cluster.url(database)},
            ) as process,
        ):
            yield process

    @contextmanager
    def webdis(self) -> Iterator[tuple[Process, Process]]:
        """Webdis, and the Redis behind it; raises `NotInstalled`."""
        with (
            redis_server(self.folder / "redis-of-webdis") as redis,
            webdis(redis, self.folder) as process,
        ):
            yield process, redis

    @contextmanager
    def tables(self, database: str, *statements: str) -> Iterator[str]:
        """A database with tables of a peer's, for the block."""
        self.cluster.create(database)
        self.cluster.execute(database, *statements)
        yield database
        self.cluster.drop(database)

    def flask(self, peer: str, database: str) -> AbstractContextManager[Process]:
        """A Flask peer on its tables, under gunicorn as gunicorn's documentation advises."""
        command = [
            *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}"),
            *("--workers", str(flask_workers()), f"bench.peers.{peer}:app"),
        ]
        url = self.cluster.url(database).replace("postgresql:", "postgresql+psycopg:", 1)
        return serving(
            peer,
            command,
            self.folder,
            path="/total",
            environment={"DATABASE_URL": url},
        )

    def filled(self, count: int) -> str:
        """A ledger of so many entries, made when first asked for; leave it as it was."""
        database = f"filled-{count}"
        if self._is_new(database):
            progress(f"filling a ledger with {count:,} entries")
            self.cluster.create_ledger(database)
            fill_ledger(self.cluster, database, count)
        return database

    def filled_naive(self, count: int) -> str:
        """The naive peer's table with as many entries; leave it as it was."""
        database = f"filled-naive-{count}"
        if self._is_new(database):
            progress(f"filling the naive peer's table with {count:,} entries")
            self.cluster.create(database)
            self.cluster.execute(database, *NAIVE_TABLES)
            fill_naive(self.cluster, database, count)
        return database

    def _is_new(self, database: str) -> bool:
        query = f"SELECT count(*) FROM pg_database WHERE datname = '{database}'"
        return self.cluster.value("postgres", query) == 0


def _with_option(url: str, option: str) -> str:
    """A database's address with one more option."""
    return f"{url}{'&' if '?' in url else '?'}{option}"


def flask_workers() -> int:
    """Gunicorn's advice: twice the cores, and one."""
    return 2 * (os.cpu_count() or 1) + 1


# As SQLAlchemy's `create_all` makes them from the peers' models.
NAIVE_TABLES = (
    "CREATE TABLE entry (id serial PRIMARY KEY, value numeric NOT NULL, added_at timestamp"
    " NOT NULL)",
)
HOT_ROW_TABLES = (
    *NAIVE_TABLES,
    "CREATE TABLE total (id serial PRIMARY KEY, sum numeric NOT NULL)",
    "INSERT INTO total (sum) VALUES (0)",
)
PGBENCH_TABLES = ((_PEERS / "tables.sql").read_text(),)
