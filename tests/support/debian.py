"""A Debian to boot or to build on: made by debootstrap from this machine's own mirror, and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.programs import need

# The release whose python3 is 3.11, the one that the services run on.
SUITE = "bookworm"
KEPT = ROOT / ".cache" / "debian"


def root(packages: Iterable[str]) -> Path:
    """Return the root folder of a minimal Debian with these packages; it must not be written to.

    It is made again when Debian has another Python. Skips the test where none can be made.
    """
    if os.geteuid() != 0:
        pytest.skip("only root makes and enters a Debian")
    need("debootstrap")
    wanted = ",".join(sorted(packages))
    mirror = _mirror()
    policy = _apt("apt-cache", "policy", "python3.11")
    python = next(line for line in policy if "Candidate:" in line)
    folder = KEPT / hashlib.sha256(f"{SUITE} {wanted} {python}".encode()).hexdigest()[:16]
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            # Not in the checkout, whose path may hold a space: debootstrap can't have that.
            with tempfile.TemporaryDirectory(prefix="tally-debian-", dir="/var/tmp") as work:
                made = Path(work) / "root"
                subprocess.run(
                    [
                        *("debootstrap", "--variant=minbase", f"--include={wanted}"),
                        *(SUITE, str(made), mirror),
                    ],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                shutil.rmtree(made / "var/cache/apt/archives")
                # This machine's own names and addresses stay outside.
                (made / "etc/apt/sources.list").unlink()
                (made / "etc/resolv.conf").write_text("")
                (made / "etc/hostname").write_text("localhost\n")
                # With all owners, devices and links, whichever disk the checkout is on.
                unfinished = folder.with_suffix(".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                subprocess.run(["cp", "--archive", made, unfinished], check=True)
            unfinished.rename(folder)
    return folder


def _mirror() -> str:
    form = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
    for line in _apt("apt-get", "indextargets", "--format", form, "Identifier: Packages"):
        suite, component, address = line.split()
        if (suite, component) == (SUITE, "main"):
            return address
    pytest.skip(f"apt knows no mirror of Debian's {SUITE}: add one, and run apt-get update")


def _apt(*command: str) -> list[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout.splitlines()
