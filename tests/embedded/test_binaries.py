"""The wheel's programs: missing, of another version, or out of reach."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tally.embedded.accounts import NOBODY
from tally.embedded.data_directory import SHARED
from tests.support.embedded_postgres import (
    AS_ROOT,
    HOLD,
    PACKAGES,
    SOURCES,
    another_process,
    refusal,
    said,
)


def test_without_the_wheel_the_message_says_what_to_install(tmp_path):
    command = [sys.executable, "-S", "-c", HOLD, str(tmp_path / "data")]
    result = subprocess.run(
        command, env={"PYTHONPATH": SOURCES}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "`local` extra or set TALLY_DATABASE_URL" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_cluster_of_another_version_is_refused(roomy):
    cluster = roomy / "data" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("12\n")
    if AS_ROOT:
        os.chown(cluster, *NOBODY)
    assert "was made by PostgreSQL 12" in refusal(roomy / "data")


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_copies_programs_that_the_server_s_user_can_t_reach(roomy, closed):
    for part in Path(PACKAGES).glob("embedded_postgres*"):
        shutil.copytree(part, closed / part.name, symlinks=True)
    copy = SHARED / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    there_before = copy.exists()
    try:
        with another_process(HOLD, roomy / "data", packages=str(closed)) as process:
            pid, _ = said(process)
            assert Path(os.readlink(f"/proc/{pid}/exe")).is_relative_to(copy)
            _, complaints = process.communicate("", timeout=60)
            assert (process.returncode, complaints) == (0, "")
        assert closed.stat().st_mode & 0o777 == 0o700
        assert copy.stat().st_uid == 0
        assert copy.stat().st_mode & 0o777 == 0o755
        assert not list(SHARED.glob(f".{copy.name}-*"))
    finally:
        if not there_before:
            shutil.rmtree(copy, ignore_errors=True)
