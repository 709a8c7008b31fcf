"""The deployment, applied once to emulated AWS in both profiles, for every test that asks."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.infra.inventory import everything
from tests.infra.stand import Stand, release


@pytest.fixture(scope="session")
def terraform() -> None:
    """Terraform 1.11 or newer, which the files need."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    said = subprocess.run(["terraform", "version"], check=True, capture_output=True, text=True)
    major, minor = said.stdout.removeprefix("Terraform v").split(".")[:2]
    if (int(major), int(minor)) < (1, 11):
        pytest.skip("terraform is older than 1.11")


@pytest.fixture(scope="session")
def stands(terraform: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stand]]:
    """Both profiles, applied at the same time, each to an emulator of its own."""
    folder = tmp_path_factory.mktemp("stands")
    started = {
        profile: Stand.start(name, profile, folder / profile)
        for name, profile in (("tally", "production"), ("tally-two", "small"))
    }
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Stand.apply, started.values()))
        yield started
    finally:
        for stand in started.values():
            stand.stop()


@pytest.fixture(scope="session", params=["production", "small"])
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
def lived(stands: dict[str, Stand]) -> dict[str, Stand]:
    """Both profiles after copies of them saw a whole life: a plan, a newer release, the end."""

    def live(stand: Stand) -> None:
        stand.deployment("plan")
        newer = f"-var=release={json.dumps(release(stand.name, version='2' * 40))}"
        with stand.copy() as copy:
            copy.deployment("apply", "-auto-approve", newer, "-var=protect=false")
            copy.deployment("destroy", "-auto-approve", newer, "-var=protect=false")
            stand.after_destroy = frozenset(everything(copy.client))
            copy.bootstrap("apply", "-auto-approve", "-var=protect=false")
            copy.bootstrap("destroy", "-auto-approve", "-var=protect=false")
            stand.after_bootstrap_destroy = frozenset(everything(copy.client))

    with ThreadPoolExecutor() as pool:
        list(pool.map(live, stands.values()))
    return stands


@pytest.fixture
def copy(stand: Stand) -> Iterator[Stand]:
    """A copy of the deployment, to be changed at will."""
    with stand.copy() as copy:
        yield copy
