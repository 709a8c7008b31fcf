"""A server that is started again when it ends, tried by killing real ones."""

import os
import queue
import signal

import pytest

from tally.embedded.postgres import EmbeddedError, running, start
from tally.embedded.supervisor import Supervisor
from tests.support.embedded_postgres import query

RESTART_SECONDS = 60
ENDED = "PostgreSQL ended; starting it again"


@pytest.fixture
def notices():
    return queue.Queue()


@pytest.fixture
def supervisor(roomy, notices):
    with Supervisor(roomy / "data", notices.put) as supervisor:
        yield supervisor


def kill(supervisor):
    """Kill the server; the number of starts before that."""
    starts = supervisor.starts
    os.kill(supervisor.server.pid, signal.SIGKILL)
    return starts


def test_a_killed_server_is_started_again_at_the_same_url(supervisor, notices):
    first = supervisor.server
    query(first, "CREATE TABLE kept AS SELECT 42 AS value")
    for starts in (1, 2):
        assert kill(supervisor) == starts
        supervisor.wait_for_restart(starts, RESTART_SECONDS)
        assert supervisor.starts == starts + 1
        assert notices.get_nowait() == ENDED
    assert supervisor.server.pid != first.pid
    assert supervisor.server.admin_url == first.admin_url
    assert query(first, "SELECT value FROM kept") == 42


def test_a_restart_that_never_comes_is_told(supervisor):
    with pytest.raises(TimeoutError, match="not started again"):
        supervisor.wait_for_restart(supervisor.starts, 0.01)


def test_stop_ends_the_server_for_good_and_may_be_repeated(supervisor, roomy):
    supervisor.stop()
    supervisor.stop()
    assert supervisor.starts == 1
    assert running(roomy / "data") is None
    start(roomy / "data").stop()  # the directory is free


def test_stop_in_the_middle_of_a_restart_leaves_no_server(supervisor, notices, roomy):
    kill(supervisor)
    assert notices.get(timeout=RESTART_SECONDS) == ENDED
    supervisor.stop()
    assert running(roomy / "data") is None
    start(roomy / "data").stop()


def test_a_start_that_fails_is_told_and_tried_again(supervisor, notices, roomy):
    settings = roomy / "data" / "cluster" / "postgresql.auto.conf"
    good = settings.read_text()
    settings.write_text("shared_buffers = 'a lot'\n")
    starts = kill(supervisor)
    assert notices.get(timeout=RESTART_SECONDS) == ENDED
    assert "PostgreSQL did not start" in notices.get(timeout=RESTART_SECONDS)
    settings.write_text(good)
    supervisor.wait_for_restart(starts, RESTART_SECONDS)
    assert query(supervisor.server, "SELECT 1") == 1


def test_a_first_start_that_fails_raises(supervisor, roomy):
    with pytest.raises(EmbeddedError, match="in use by process"):
        Supervisor(roomy / "data", print)
