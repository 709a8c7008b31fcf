"""The adder's release: one file, the same whoever builds it, that needs python3.11 and no more."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.deploy.conftest import Release
from tests.support.guests import release
from tests.support.guests.cloud import Cloud

PYTHON = Path("/usr/bin/python3.11")


def test_two_builds_give_the_same_bytes(
    the_cloud: Cloud, old_release: Release, tmp_path: Path
) -> None:
    again = release.copy_of_sources(tmp_path / "elsewhere", the_cloud.authority, "1.0.1")
    for file in again.rglob("*.py"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    built, sha256 = release.build(again)
    assert sha256 == old_release.sha256
    assert built.read_bytes() == old_release.file.read_bytes()


def test_it_has_the_pinned_packages_and_no_others(old_release: Release) -> None:
    with zipfile.ZipFile(old_release.file) as file:
        packed_files = [name for name in file.namelist() if name.startswith(".deps/")]
    wheels = {name.split("/")[1] for name in packed_files} - {""}
    packed = {"==".join(wheel.split("-")[:2]).replace("_", "-").lower() for wheel in wheels}
    pins = (release.PROJECT / "requirements/services.txt").read_text().splitlines()
    pinned = {line.removesuffix(" \\").lower() for line in pins if not line.startswith(" ")}
    assert packed == pinned | {"tally==0.1.0"}


def test_the_distributions_python_runs_it(old_release: Release, tmp_path: Path) -> None:
    """Debian's own interpreter, with nothing installed beside it."""
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is not installed: apt install python3.11")
    done = subprocess.run(
        [PYTHON, old_release.file, "--version"],
        env={"PEX_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "tally, version 1.0.1\n"
