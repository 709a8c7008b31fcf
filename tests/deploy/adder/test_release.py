"""The adder's release: one file, the same whoever builds it, that needs python3.11 and no more."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.guests import release
from tests.support.guests.release import Release
from tests.support.shipped import NOT_HERE, PACKAGES, packages

PYTHON = Path("/usr/bin/python3.11")


def test_two_builds_give_the_same_bytes(old_release: Release, tmp_path: Path) -> None:
    again = release.copy_of_sources(tmp_path / "elsewhere", "1.0.1")
    for file in again.rglob("*.py"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    built, sha256 = release.build(again)
    assert sha256 == old_release.sha256
    assert built.read_bytes() == old_release.file.read_bytes()


@pytest.fixture
def packed(old_release: Release) -> dict[str, list[str]]:
    """The release's files, by the wheel that each comes from."""
    found: dict[str, list[str]] = {}
    with zipfile.ZipFile(old_release.file) as file:
        for name in file.namelist():
            if name.startswith(".deps/") and not name.endswith("/"):
                _, wheel, path = name.split("/", 2)
                found.setdefault(wheel, []).append(path)
    return found


def test_it_has_the_pinned_packages_and_no_others(packed: dict[str, list[str]]) -> None:
    wheels = {"==".join(wheel.split("-")[:2]).replace("_", "-").lower() for wheel in packed}
    pins = (release.PROJECT / "requirements/services.txt").read_text().splitlines()
    pinned = {line.removesuffix(" \\").lower() for line in pins if not line.startswith(" ")}
    assert wheels == pinned | {"tally==0.1.0"}


def test_of_tally_it_has_the_services_alone(packed: dict[str, list[str]]) -> None:
    [files] = [files for wheel, files in packed.items() if wheel.startswith("tally-")]
    # What begins with a dot is pex's own.
    tops = {file.partition("/")[0].partition("-")[0] for file in files if file[0] != "."}
    assert tops == {"tally"}
    assert packages(files) == PACKAGES


def test_the_distributions_python_runs_it(old_release: Release, tmp_path: Path) -> None:
    """Debian's own interpreter, with nothing installed beside it."""
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is not installed: apt install python3.11")

    def tally(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, old_release.file, command],
            env={"PEX_ROOT": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert tally("--version").stdout == "tally, version 1.0.1\n"
    check = tally("check")
    assert (check.returncode, check.stdout) == (2, "")
    assert check.stderr.startswith(NOT_HERE)
