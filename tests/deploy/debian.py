"""A Debian to boot or to build on: made by debootstrap from this machine's own mirror, and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

# The release whose python3 is 3.11, the one that the services run on.
SUITE = "bookworm"
KEPT = Path(__file__).parents[2] / ".cache" / "debian"


def base(packages: Iterable[str]) -> Path:
    """Return the root folder of a minimal Debian with these packages; it must not be written to.

    Skips the test where none can be made.
    """
    if os.geteuid() != 0:
        pytest.skip("a Debian is made and entered by root only")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed: apt install debootstrap")
    wanted = ",".join(sorted(packages))
    folder = KEPT / hashlib.sha256(f"{SUITE} {wanted}".encode()).hexdigest()[:16]
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            subprocess.run(
                [
                    "debootstrap",
                    "--variant=minbase",
                    f"--include={wanted}",
                    SUITE,
                    unfinished,
                    _mirror(),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            shutil.rmtree(unfinished / "var/cache/apt/archives")
            (unfinished / "etc/apt/sources.list").unlink()
            unfinished.rename(folder)
    return folder


def _mirror() -> str:
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Identifier: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines():
        suite, _, address = line.partition(" ")
        if suite == SUITE:
            return address
    pytest.skip(f"this machine's apt knows no mirror of Debian's {SUITE}: apt-get update")
