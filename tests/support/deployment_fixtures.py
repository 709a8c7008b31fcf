"""The deployment, applied once to emulated AWS in both profiles, for every test that asks.

Applies, lifecycles and the guide take minutes in which the machine mostly waits. They begin when
the tests begin, beside those that need no AWS, and the tests that need them come last.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, Emulator, end_what_runs
from tests.support.guide_runner import follow
from tests.support.lifecycle import Lifecycle, live

PROFILES = {"production": "tally", "small": "tally-two"}
# The fixtures that are begun ahead of the tests that ask for them.
OLDEST_TERRAFORM = (1, 11)  # infra/versions.tf
DEPLOYMENTS, LIFECYCLES, GUIDE = "deployments", "lifecycles", "followed"


class Ahead:
    """The slow things, each under way or done."""

    def __init__(self, wanted: set[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tally-deployments-"))
        self._pool = ThreadPoolExecutor(max_workers=8)
        self._started: list[Deployment] = []
        self._wanted = wanted
        self._lifecycles: dict[str, Future[Lifecycle]] = {}
        self._deployments = {
            profile: self._pool.submit(self._apply, profile)
            for profile in (PROFILES if wanted & {DEPLOYMENTS, LIFECYCLES} else ())
        }
        self._guide = self._pool.submit(follow, self._new("guide")) if GUIDE in wanted else None

    def _new(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _apply(self, profile: str) -> Deployment:
        deployment = Deployment.start(PROFILES[profile], profile, self._new(profile))
        self._started.append(deployment)
        deployment.apply()
        if LIFECYCLES in self._wanted:
            # Before anybody else may use it: an emulator is not forked while it answers.
            fork = deployment.fork()
            self._started.append(fork)
            self._lifecycles[profile] = self._pool.submit(live, fork)
        return deployment

    def deployments(self) -> dict[str, Deployment]:
        return {profile: deployment.result() for profile, deployment in self._deployments.items()}

    def lifecycles(self) -> dict[str, Lifecycle]:
        return {profile: self._lifecycles[profile].result() for profile in self.deployments()}

    def followed(self) -> "subprocess.CompletedProcess[str]":
        assert self._guide is not None
        return self._guide.result()

    def stop(self) -> None:
        """End it all, whether done or not."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        end_what_runs()
        # A fork is ended with what it was forked from.
        for deployment in self._started:
            if not deployment.is_fork:
                deployment.stop()
        self._pool.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


_AHEAD = pytest.StashKey[Ahead]()


def _has_terraform() -> bool:
    if shutil.which("terraform") is None:
        return False
    said = subprocess.run(["terraform", "version"], check=True, capture_output=True, text=True)
    major, minor = said.stdout.removeprefix("Terraform v").split(".")[:2]
    return (int(major), int(minor)) >= OLDEST_TERRAFORM


def _slow(items: Iterable[pytest.Item]) -> set[str]:
    asked = {name for item in items for name in getattr(item, "fixturenames", ())}
    return asked & {DEPLOYMENTS, LIFECYCLES, GUIDE}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: bool(_slow([item])))


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = _slow(session.items)
    if wanted and not session.config.option.collectonly and _has_terraform():
        session.config.stash[_AHEAD] = Ahead(wanted)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _AHEAD in session.config.stash:
        session.config.stash[_AHEAD].stop()


@pytest.fixture(scope="session")
def terraform() -> None:
    if not _has_terraform():
        pytest.skip("terraform is not installed, or too old")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An empty account for all tests of a module."""
    started = Emulator.start(tmp_path_factory.mktemp("emulator"))
    yield started
    started.stop()


@pytest.fixture
def new_emulator(tmp_path: Path) -> Iterator[Emulator]:
    """An empty account for one test."""
    started = Emulator.start(tmp_path)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def ahead(terraform: None, request: pytest.FixtureRequest) -> Ahead:
    return request.config.stash[_AHEAD]


@pytest.fixture(scope="session")
def deployments(ahead: Ahead) -> dict[str, Deployment]:
    """Both profiles, each in an emulator of its own."""
    return ahead.deployments()


@pytest.fixture(scope="session", params=list(PROFILES))
def deployment(deployments: dict[str, Deployment], request: pytest.FixtureRequest) -> Deployment:
    """One profile after the other: to read from. To change something, take a copy."""
    return deployments[request.param]


@pytest.fixture(scope="session")
def production(deployments: dict[str, Deployment]) -> Deployment:
    """The profile that is the default, without a domain."""
    return deployments["production"]


@pytest.fixture(scope="session")
def small(deployments: dict[str, Deployment]) -> Deployment:
    """The cheapest profile, with a domain."""
    return deployments["small"]


@pytest.fixture(scope="session")
def lifecycles(ahead: Ahead) -> dict[str, Lifecycle]:
    """What copies of both profiles went through, to the end."""
    return ahead.lifecycles()


@pytest.fixture(scope="session")
def followed(ahead: Ahead) -> "subprocess.CompletedProcess[str]":
    """What came of following the documents from the first command to the last."""
    return ahead.followed()


@pytest.fixture
def copy(deployment: Deployment) -> Iterator[Deployment]:
    """A copy of the deployment, to be changed at will."""
    with deployment.copy() as copy:
        yield copy
