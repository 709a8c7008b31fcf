"""Where a server's files go, tried with real directories, owners and modes."""

import os
import shutil

import pytest

from tally.embedded.data_directory import SHARED, find_data_directory
from tally.embedded.postgres import running, start
from tests.support.embedded_postgres import AS_ROOT, HOLD, another_process, query, refusal


def test_foreign_content_is_refused_and_left_alone(roomy):
    (roomy / "data").mkdir()
    (roomy / "data" / "thesis.txt").write_text("precious")
    assert "holds something else (thesis.txt)" in refusal(roomy / "data")
    assert [entry.name for entry in (roomy / "data").iterdir()] == ["thesis.txt"]


def test_a_second_start_is_refused_and_names_the_process(shared):
    message = refusal(shared.directory)
    assert f"in use by process {os.getpid()};" in message
    assert "TALLY_DATA_DIR" in message
    assert query(shared, "SELECT 1") == 1


@pytest.mark.skipif(not AS_ROOT, reason="only root can make files of another user")
def test_data_of_another_user_is_refused_and_its_owner_named(roomy, ordinary):
    start(roomy / "data").stop()
    with another_process(HOLD, roomy / "data", **ordinary) as process:
        _, message = process.communicate("", timeout=60)
    assert message.startswith(f"data directory {roomy / 'data'} can't be used: Permission denied")
    assert f"{roomy / 'data'} belongs to root: make it writable" in message
    assert message.count("\n") == 1


@pytest.mark.skipif(not AS_ROOT, reason="only root can make files of root")
def test_data_of_root_is_refused_with_the_way_out(roomy):
    (roomy / "data" / "cluster").mkdir(parents=True)
    message = refusal(roomy / "data")
    assert "belongs to root" in message
    assert "chown -R" in message


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_keeps_data_elsewhere_when_a_parent_is_closed(closed):
    directory = closed / "data"
    fallback = find_data_directory(directory).path
    assert fallback.parent == SHARED
    notices = []
    try:
        with start(directory, notices.append) as server:
            assert server.directory == fallback
            query(server, "CREATE TABLE kept AS SELECT 42 AS value")
            attached = running(directory)
            assert attached is not None
            assert attached.admin_url == server.admin_url
        [notice] = notices
        assert str(fallback) in notice
        assert str(directory) in notice
        assert closed.stat().st_mode & 0o777 == 0o700
        assert closed.stat().st_uid == 0

        closed.chmod(0o755)  # opened later by its owner: the data must not seem lost
        with start(directory) as server:
            assert query(server, "SELECT value FROM kept") == 42
        moved = closed.rename(closed.with_name("renamed"))  # as somebody renames a clone
        with start(moved / "data") as server:
            assert server.directory == fallback
            assert query(server, "SELECT value FROM kept") == 42
    finally:
        shutil.rmtree(fallback)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_does_not_begin_anew_when_a_parent_is_closed_later(closed):
    closed.chmod(0o755)
    start(closed / "data").stop()
    closed.chmod(0o700)
    assert f"because {closed} is closed" in refusal(closed / "data")
