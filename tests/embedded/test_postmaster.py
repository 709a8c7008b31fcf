"""A server's process from its launch to its end, tried by killing real ones."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import asyncpg
import pytest

from tally.embedded.accounts import SERVER
from tally.embedded.data_directory import find_data_directory
from tally.embedded.postgres import running, start
from tally.embedded.postmaster import LOG_BYTES, bound_log, is_postmaster, read_pid_file
from tests.support.embedded_postgres import (
    AS_ROOT,
    HOLD,
    another_process,
    query,
    refusal,
    said,
)
from tests.support.processes import wait_for


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_stop_ends_the_process_and_may_be_repeated(roomy):
    server = start(roomy / "data")
    assert server.alive
    server.stop()
    server.stop()
    assert gone(server.pid)
    assert not server.alive
    assert "database system is shut down" in (
        roomy / "data" / "cluster" / "postgres.log"
    ).read_text(encoding="utf-8")


@pytest.mark.skipif(not AS_ROOT, reason="only root changes the user")
def test_root_runs_the_server_as_another_user_without_groups(shared):
    lines = Path(f"/proc/{shared.pid}/status").read_text().splitlines()
    status = {line.split(":")[0]: line.split()[1:] for line in lines}
    assert status["Uid"] == [str(SERVER.uid)] * 4
    assert status["Gid"] == [str(SERVER.gid)] * 4
    assert status["Groups"] == []


def test_the_server_has_a_session_of_its_own(shared):
    assert os.getsid(shared.pid) == shared.pid


def test_a_start_from_a_thread_that_ends_keeps_the_server(roomy):
    servers = []
    thread = threading.Thread(target=lambda: servers.append(start(roomy / "data")))
    thread.start()
    thread.join()
    with servers[0] as server:
        time.sleep(0.3)  # the death signal would have come by now
        assert query(server, "SELECT 1") == 1


def test_committed_rows_survive_a_killed_server(roomy):
    server = start(roomy / "data")
    query(server, "CREATE TABLE kept AS SELECT 42 AS value")
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not server.alive)
    server.stop()
    with start(roomy / "data") as server:
        assert query(server, "SELECT value FROM kept") == 42


def test_a_session_that_outlives_a_killed_server_is_waited_for(roomy):
    server = start(roomy / "data")
    query(server, "CREATE TABLE kept AS SELECT 42 AS value")

    async def leave_a_frozen_session():
        connection = await asyncpg.connect(server.admin_url)
        session = connection.get_server_pid()
        os.kill(session, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)
        connection.terminate()
        return session

    session = asyncio.run(leave_a_frozen_session())
    server.stop()
    thawed = threading.Timer(1.0, os.kill, (session, signal.SIGCONT))
    thawed.start()
    try:
        with start(roomy / "data") as server:
            assert thawed.finished.is_set()
            assert query(server, "SELECT value FROM kept") == 42
    finally:
        thawed.join()


def test_a_killed_launcher_takes_its_server_along(roomy):
    with another_process(HOLD, roomy / "data") as process:
        pid, _ = said(process)
        process.kill()
        process.wait()
        wait_for(lambda: not is_postmaster(pid, roomy / "data" / "cluster"))
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1


def test_everything_killed_at_once_recovers(roomy):
    with another_process(HOLD, roomy / "data") as process:
        pid, _ = said(process)
        attached = running(roomy / "data")
        assert attached is not None
        query(attached, "CREATE TABLE kept AS SELECT 42 AS value")
        process.send_signal(signal.SIGSTOP)  # so that it can't tidy up
        os.kill(pid, signal.SIGKILL)
        process.kill()
    with start(roomy / "data") as server:
        assert query(server, "SELECT value FROM kept") == 42


def test_a_server_without_its_launcher_is_taken_over(roomy):
    with start(roomy / "data") as server:
        command = Path(f"/proc/{server.pid}/cmdline").read_bytes().split(b"\0")[:-1]
        account = find_data_directory(roomy / "data").account if AS_ROOT else None
    user = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **user) as orphan:
        cluster = roomy / "data" / "cluster"
        wait_for(lambda: (found := read_pid_file(cluster)) is not None and found.ready)
        assert running(roomy / "data") is None, "nobody lets others use it"
        with start(roomy / "data") as server:
            assert server.pid != orphan.pid
            assert query(server, "SELECT 1") == 1
        assert orphan.wait(60) == 0


def test_a_stale_process_number_of_somebody_else_is_ignored(roomy):
    start(roomy / "data").stop()
    stale = roomy / "data" / "cluster" / "postmaster.pid"
    lines = [os.getpid(), roomy / "data" / "cluster", 1, 5432, roomy, "", "1 1", "ready"]
    stale.write_text("".join(f"{line}\n" for line in lines))
    assert running(roomy / "data") is None
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1


def test_a_failed_start_repeats_the_reason_and_frees_the_folder(roomy):
    start(roomy / "data").stop()
    settings = roomy / "data" / "cluster" / "postgresql.auto.conf"
    good = settings.read_text()
    settings.write_text("shared_buffers = 'a lot'\n")
    message = refusal(roomy / "data")
    assert "configuration file" in message
    assert "postgres.log" in message
    settings.write_text(good)
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1


def test_the_log_is_bounded(tmp_path):
    log = tmp_path / "postgres.log"
    bound_log(log)
    log.write_bytes(b"x" * LOG_BYTES)
    bound_log(log)
    assert log.stat().st_size == LOG_BYTES
    with log.open("ab") as file:
        file.write(b"x")
    bound_log(log)
    assert log.stat().st_size == 0
