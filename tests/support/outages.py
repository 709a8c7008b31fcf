"""Ways in which Tally goes away under an open page, and comes back."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tally.embedded import postgres
from tests.support.distribution_postgres import serving, standby_of
from tests.support.postgres import urls_of
from tests.support.processes import Running, wait_for
from tests.support.proxies import proxy_before

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

TallyUp = Callable[..., Running]
# So that a request to a database that is away is answered soon.
SOON = {"TALLY_REQUEST_TIMEOUT": "1"}


@dataclass(frozen=True)
class Outage:
    """Where Tally is, and what begins and ends its outage for a browser."""

    url: str
    begin: Callable[["BrowserContext"], object]
    end: Callable[["BrowserContext"], object]
    # Whether the display reads on.
    live: bool = False
    # Whether Tally itself answers.
    answers: bool = True


@contextmanager
def database_stopped(tally_up: TallyUp) -> Iterator[Outage]:
    with _own_server() as (data, servers):
        running = tally_up(**urls_of(servers[0]), **SOON)
        yield Outage(
            running.url,
            begin=lambda _: servers[-1].stop(),
            end=lambda _: servers.append(postgres.start(data)),
        )
        running.stop()


@contextmanager
def database_frozen(tally_up: TallyUp) -> Iterator[Outage]:
    with _own_server() as (_, servers):
        running = tally_up(**urls_of(servers[0]), **SOON)

        def signal_all(number: signal.Signals) -> None:
            postmaster = servers[0].pid
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
            for pid in (postmaster, *map(int, children.split())):
                with suppress(ProcessLookupError):  # a backend may end by itself
                    os.kill(pid, number)

        yield Outage(
            running.url,
            begin=lambda _: signal_all(signal.SIGSTOP),
            end=lambda _: signal_all(signal.SIGCONT),
        )
        running.stop()


@contextmanager
def standby_only(tally_up: TallyUp) -> Iterator[Outage]:
    """The display reads a standby, and nobody reaches the primary."""
    with ExitStack() as stack:
        primary = stack.enter_context(serving())
        directory = Path(primary.partition("host=")[2])
        # Migrated before it is copied, for `tally up` migrates what it can change.
        running = tally_up(TALLY_DATABASE_URL=primary, **SOON)
        standby = stack.enter_context(standby_of(primary))
        running.stop()
        running = tally_up(TALLY_DATABASE_URL=primary, TALLY_DISPLAY_DATABASE_URL=standby, **SOON)

        def stop() -> None:
            pid = int((directory / "data/postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGINT)
            wait_for(lambda: not (directory / "data/postmaster.pid").exists(), said="for its end")

        yield Outage(
            running.url,
            begin=lambda _: stop(),
            end=lambda _: stack.enter_context(serving(directory)),
            live=True,
        )
        running.stop()


@contextmanager
def service_stopped(tally_up: TallyUp) -> Iterator[Outage]:
    """A proxy answers for the services with a page of its own."""
    running = tally_up()
    port = running.url.rpartition(":")[2]
    with proxy_before(running, "nginx") as proxy:
        yield Outage(
            proxy.url,
            begin=lambda _: running.stop(),
            end=lambda _: tally_up(running.folder, PORT=port),
            answers=False,
        )


@contextmanager
def browser_offline(tally_up: TallyUp) -> Iterator[Outage]:
    running = tally_up()
    yield Outage(
        running.url,
        begin=lambda context: context.set_offline(True),
        end=lambda context: context.set_offline(False),
        answers=False,
    )
    running.stop()


# Those in which pages are answered, and those in which nothing is.
OF_THE_DATABASE = (database_stopped, database_frozen, standby_only)
OUTAGES = (*OF_THE_DATABASE, service_stopped, browser_offline)


@contextmanager
def _own_server() -> Iterator[tuple[Path, list[postgres.Server]]]:
    with tempfile.TemporaryDirectory(prefix="tally-outage-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        servers = [postgres.start(folder / "data")]
        try:
            yield folder / "data", servers
        finally:
            servers[-1].stop()
