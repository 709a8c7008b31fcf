"""The deployment, applied once to emulated AWS in both profiles, for every test that asks.

Applying, living and following the documents take minutes in which the machine mostly waits. They
begin when the tests begin, beside those that need no AWS, and the tests that need them come last.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.deployment import Stand, end_what_runs
from tests.support.guide_runner import follow
from tests.support.lifecycle import Life, live

PROFILES = {"production": "tally", "small": "tally-two"}
# The fixtures that are begun ahead of the tests that ask for them.
STANDS, LIVES, READER = "stands", "lives", "followed"


class Ahead:
    """The slow things, each under way or done."""

    def __init__(self, wanted: set[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tally-stands-"))
        self._pool = ThreadPoolExecutor(max_workers=8)
        self._started: list[Stand] = []
        self._wanted = wanted
        self._lives: dict[str, Future[Life]] = {}
        self._stands = {
            profile: self._pool.submit(self._apply, profile)
            for profile in (PROFILES if wanted & {STANDS, LIVES} else ())
        }
        self._reader = self._pool.submit(follow, self._new("reader")) if READER in wanted else None

    def _new(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _apply(self, profile: str) -> Stand:
        stand = Stand.start(PROFILES[profile], profile, self._new(profile))
        self._started.append(stand)
        stand.apply()
        if LIVES in self._wanted:
            # Before anybody else may use it: an emulator is not forked while it answers.
            fork = stand.fork()
            self._started.append(fork)
            self._lives[profile] = self._pool.submit(live, fork)
        return stand

    def stands(self) -> dict[str, Stand]:
        return {profile: stand.result() for profile, stand in self._stands.items()}

    def lives(self) -> dict[str, Life]:
        return {profile: self._lives[profile].result() for profile in self.stands()}

    def followed(self) -> "subprocess.CompletedProcess[str]":
        assert self._reader is not None
        return self._reader.result()

    def stop(self) -> None:
        """End it all, whether done or not."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        end_what_runs()
        # A fork is ended with what it was forked from.
        for stand in self._started:
            if not stand.is_fork:
                stand.stop()
        self._pool.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


_AHEAD = pytest.StashKey[Ahead]()


def _no_terraform() -> str | None:
    """Why there is no Terraform that will do, or None if there is one."""
    if shutil.which("terraform") is None:
        return "terraform is not installed"
    said = subprocess.run(["terraform", "version"], check=True, capture_output=True, text=True)
    major, minor = said.stdout.removeprefix("Terraform v").split(".")[:2]
    return "terraform is older than 1.11" if (int(major), int(minor)) < (1, 11) else None


def _slow(items: Iterable[pytest.Item]) -> set[str]:
    asked = {name for item in items for name in getattr(item, "fixturenames", ())}
    return asked & {STANDS, LIVES, READER}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: bool(_slow([item])))


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = _slow(session.items)
    if wanted and not session.config.option.collectonly and _no_terraform() is None:
        session.config.stash[_AHEAD] = Ahead(wanted)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _AHEAD in session.config.stash:
        session.config.stash[_AHEAD].stop()


@pytest.fixture(scope="session")
def terraform() -> None:
    """Terraform 1.11 or newer, which the files need."""
    if reason := _no_terraform():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def ahead(terraform: None, request: pytest.FixtureRequest) -> Ahead:
    return request.config.stash[_AHEAD]


@pytest.fixture(scope="session")
def stands(ahead: Ahead) -> dict[str, Stand]:
    """Both profiles, each in an emulator of its own."""
    return ahead.stands()


@pytest.fixture(scope="session", params=list(PROFILES))
def stand(stands: dict[str, Stand], request: pytest.FixtureRequest) -> Stand:
    """One profile after the other: to read from. To change something, take a copy."""
    return stands[request.param]


@pytest.fixture(scope="session")
def production(stands: dict[str, Stand]) -> Stand:
    """The profile that is the default, without a domain."""
    return stands["production"]


@pytest.fixture(scope="session")
def small(stands: dict[str, Stand]) -> Stand:
    """The cheapest profile, with a domain."""
    return stands["small"]


@pytest.fixture(scope="session")
def lives(ahead: Ahead) -> dict[str, Life]:
    """What copies of both profiles went through, to the end."""
    return ahead.lives()


@pytest.fixture(scope="session")
def followed(ahead: Ahead) -> "subprocess.CompletedProcess[str]":
    """What came of following the documents from the first command to the last."""
    return ahead.followed()


@pytest.fixture
def copy(stand: Stand) -> Iterator[Stand]:
    """A copy of the deployment, to be changed at will."""
    with stand.copy() as copy:
        yield copy
