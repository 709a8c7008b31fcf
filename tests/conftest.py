"""What the tests share: one real PostgreSQL, a fresh ledger for each test that asks for one."""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tally.embedded import postgres
from tally.ledger.database import Database
from tally.ledger.migrate import migrate

# What several folders share: the deployment on an emulated AWS, and a browser.
pytest_plugins = (
    "tests.support.browser",
    "tests.support.deployment_fixtures",
    "tests.support.http",
)

STRICT = os.environ.get("TALLY_TEST_STRICT") == "1"
_TEMPLATE = "tally_template"
_names = (f"tally_test_{number}" for number in itertools.count(1))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the strict mode a test left out is a test failed."""
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"


@dataclass(frozen=True)
class Ledger:
    """A migrated database of its own, reached as its owner or as a service's role."""

    url: Callable[[str], str]

    @property
    def owner_url(self) -> str:
        return self.url("postgres")

    def database(self, role: str = "postgres", timeout: float = 5) -> Database:
        return Database(self.url(role), timeout=timeout)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """The embedded server, as `tally up` runs it, in a short-lived folder."""
    folder = Path(tempfile.mkdtemp(prefix="tally-test-"))
    folder.chmod(0o755)
    with postgres.start(folder / "data") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def _template(postgres_server: postgres.Server) -> None:
    execute(postgres_server.admin_url, f"CREATE DATABASE {_TEMPLATE}")

    async def prepare() -> None:
        database = Database(with_database(postgres_server.admin_url, _TEMPLATE), timeout=5)
        await migrate(database)
        await database.close()

    asyncio.run(prepare())


@pytest.fixture
def ledger(postgres_server: postgres.Server, _template: None) -> Iterator[Ledger]:
    """An empty, migrated ledger in a database of its own."""
    name = next(_names)
    execute(postgres_server.admin_url, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    yield Ledger(
        lambda role: with_database(
            postgres_server.admin_url if role == "postgres" else postgres_server.url(role), name
        )
    )
    execute(postgres_server.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


@dataclass
class Running:
    """`tally up` as a person runs it: a process, its address and what it logs."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it by a signal; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def tally_up() -> Iterator[Callable[..., Running]]:
    """Start `tally up` on a free port, in a fresh folder unless one is given."""
    started: list[Running] = []
    folders: list[Path] = []

    def start(folder: Path | None = None, **environment: str) -> Running:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="tally-up-"))
            folder.chmod(0o755)
            folders.append(folder)
        log, notes = folder / "stdout.log", folder / "stderr.log"
        with log.open("ab") as stdout, notes.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tally", "up", "--port", environment.pop("PORT", "0")],
                env={**os.environ, "TALLY_DATA_DIR": str(folder / "data"), **environment},
                stdout=stdout,
                stderr=stderr,
            )
        running = Running(_address(process, notes), process, folder, log)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], notes: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said = notes.read_text()
        if "Tally is at " in said:
            return said.partition("Tally is at ")[2].split()[0]
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"tally up did not start: {notes.read_text()}")


@pytest.fixture(scope="session")
def server(tally_up: Callable[..., Running]) -> Running:
    """One running Tally that many tests share; each brings its own keys and leaves values."""
    return tally_up()
