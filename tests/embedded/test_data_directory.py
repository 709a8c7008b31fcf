"""Where a server's files go, tried with real folders, owners and modes."""

import os
import shutil
from pathlib import Path

import pytest

from tally.embedded.data_directory import SHARED, find_place
from tally.embedded.postgres import running, start
from tests.support.accounts import AS_ROOT, query, refusal


def test_foreign_content_is_refused_and_left_alone(roomy):
    (roomy / "data").mkdir()
    (roomy / "data" / "thesis.txt").write_text("precious")
    assert "holds something else (thesis.txt)" in refusal(roomy / "data")
    assert [entry.name for entry in (roomy / "data").iterdir()] == ["thesis.txt"]


def test_a_second_start_is_refused_and_names_the_process(shared):
    message = refusal(shared.folder)
    assert f"in use by process {os.getpid()};" in message
    assert "TALLY_DATA_DIR" in message
    assert query(shared, "SELECT 1") == 1


@pytest.mark.skipif(not AS_ROOT, reason="only root can make files of root")
def test_data_of_root_is_refused_with_the_way_out(roomy):
    (roomy / "data" / "cluster").mkdir(parents=True)
    message = refusal(roomy / "data")
    assert "belongs to root" in message
    assert "chown -R" in message


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_keeps_data_elsewhere_when_a_parent_is_closed(closed):
    folder = closed / "data"
    stand_in = find_place(folder).home
    assert stand_in.parent == SHARED
    notices = []
    try:
        with start(folder, notices.append) as server:
            assert server.folder == stand_in
            query(server, "CREATE TABLE kept AS SELECT 42 AS value")
            attached = running(folder)
            assert attached is not None
            assert attached.admin_url == server.admin_url
        assert [str(stand_in) in notice and str(folder) in notice for notice in notices] == [True]
        assert closed.stat().st_mode & 0o777 == 0o700
        assert closed.stat().st_uid == 0

        closed.chmod(0o755)  # opened later by its owner: the data must not seem lost
        with start(folder) as server:
            assert query(server, "SELECT value FROM kept") == 42
    finally:
        shutil.rmtree(stand_in)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_does_not_begin_anew_when_a_parent_is_closed_later(closed):
    closed.chmod(0o755)
    start(closed / "data").stop()
    closed.chmod(0o700)
    assert f"because {closed} is closed" in refusal(closed / "data")


def test_the_socket_is_closed_to_other_users(shared):
    status = shared._sockets.stat()
    assert status.st_mode & 0o777 == 0o700
    assert status.st_uid == Path(f"/proc/{shared.pid}").stat().st_uid


def test_a_very_long_path_gets_a_short_private_socket(roomy):
    folder = roomy.joinpath(*(["a rather long name " * 5] * 4), "data")
    with start(folder) as server:
        sockets = server._sockets
        assert query(server, "SELECT 1") == 1
        attached = running(folder)
        assert attached is not None
        assert attached.admin_url == server.admin_url
    assert folder not in sockets.parents
    assert sockets.stat().st_mode & 0o777 == 0o700
    sockets.rmdir()


def test_a_short_socket_folder_of_somebody_else_is_refused(roomy):
    folder = roomy.joinpath(*(["a rather long name " * 5] * 4), "data")
    with start(folder) as server:
        sockets = server._sockets
    sockets.chmod(0o755)
    assert f"{sockets} is not a private folder" in refusal(folder)
    sockets.rmdir()


def test_an_odd_path_works(roomy):
    with start(roomy / "a,b:c'd@é %20") as server:
        assert query(server, "SELECT 1") == 1
        sockets = server._sockets
    sockets.rmdir()
