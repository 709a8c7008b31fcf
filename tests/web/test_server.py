"""The server as a process: it starts, serves many connections, and stops."""

import httpx

from tests.support.http import connect, logged


def test_start_and_stop_are_logged(tally_up) -> None:
    running = tally_up()
    httpx.get(running.url)
    assert running.stop() == 0
    events = [line["event"] for line in logged(running)]
    assert events[0] == "start"
    assert events[-2:] == ["stopping", "stop"]


def test_many_idle_connections_are_in_nobodys_way(server, add) -> None:
    idle = [connect(server) for _ in range(1000)]
    assert add(1).status_code == 201
    for connection in idle:
        connection.close()
