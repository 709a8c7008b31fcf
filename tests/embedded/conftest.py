"""Folders for the embedded PostgreSQL, a server that runs, and a user who isn't root."""

import pwd
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tally.embedded.postgres import start
from tests.support.embedded_postgres import AS_ROOT, another_process


@pytest.fixture
def roomy():
    """A temporary directory that every user may enter, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="tally "))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def closed(roomy):
    """A parent that only its owner enters."""
    parent = roomy / "closed"
    parent.mkdir(mode=0o700)
    return parent


@pytest.fixture(scope="session")
def shared():
    """One server for all tests that only look; its path has spaces."""
    directory = Path(tempfile.mkdtemp(prefix="tally ")) / "data directory"
    directory.parent.chmod(0o711)
    with start(directory) as server:
        yield server
    shutil.rmtree(directory.parent)


@pytest.fixture
def ordinary(roomy):
    """Options to run Python as an ordinary user, who owns `roomy`."""
    if not AS_ROOT:
        return {}
    # initdb wants a name for the user id, so one that every system has.
    user = pwd.getpwnam("daemon")
    options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    shutil.chown(roomy, user.pw_uid, user.pw_gid)
    check = (
        "from tally.embedded import binaries as b; b.run_program([b.find_binaries() / 'initdb'], 0)"
    )
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            with another_process(check, python=python, **options) as process:
                if process.wait(60) == 0:
                    return {"python": python, **options}
        except PermissionError:
            continue
    pytest.skip("an ordinary user can't reach a Python, these sources and PostgreSQL's programs")
