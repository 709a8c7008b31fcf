"""One line a request, and one for each change of state."""

import os
import re
import time

import httpx
import pytest

from tally.web.log import Log
from tests.support.http import line_of, logged

FIELDS = {
    "time",
    "level",
    "event",
    "service",
    "method",
    "route",
    "status",
    "duration_ms",
    "request_id",
}


@pytest.mark.parametrize(
    ("method", "path", "service", "route", "status", "level"),
    [
        ("GET", "/", "display", "/", 200, "info"),
        ("POST", "/adder_service/entries", "adder", "/adder_service/entries", 415, "info"),
        (
            "DELETE",
            "/reset_service/resets/77",
            "reset",
            "/reset_service/resets/{id:int}",
            409,
            "info",
        ),
        (
            "GET",
            "/display_service/entries?limit=1",
            "display",
            "/display_service/entries",
            200,
            "info",
        ),
        ("GET", "/secret/path?token=x", "display", None, 404, "info"),
    ],
)
def test_each_request_is_one_line(
    client, server, method, path, service, route, status, level
) -> None:
    answer = client.request(method, path)
    line = line_of(server, answer.headers["X-Request-Id"])
    assert line.keys() == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert (line["event"], line["method"], line["service"]) == ("request", method, service)
    assert (line["route"], line["status"], line["level"]) == (route, status, level)
    assert 0 < line["duration_ms"] < 60_000
    assert "token=x" not in server.log.read_text()


@pytest.mark.parametrize("header", ["X-Request-Id", "X-Amzn-Trace-Id"])
def test_request_id_is_taken_over(client, server, header) -> None:
    given = f"Root=1-{time.time_ns()}-abc"
    answer = client.get("/display_service/healthz", headers={header: given})
    assert answer.headers["X-Request-Id"] == given
    assert line_of(server, given)["status"] == 200


@pytest.mark.parametrize("given", ["has blanks", "x" * 129, ""])
def test_request_id_is_made_where_none_can_be_used(client, given) -> None:
    answer = client.get("/display_service/healthz", headers={"X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_start_and_stop_are_logged(tally_up) -> None:
    running = tally_up()
    httpx.get(running.url)
    running.stop()
    events = [line["event"] for line in logged(running)]
    assert events[0] == "start"
    assert events[-2:] == ["stopping", "stop"]


def test_text_for_people_json_for_programs() -> None:
    for form, expected in (("text", b"\x1b["), ("json", b'{"time":"'), ("auto", b'{"time":"')):
        read, write = os.pipe()
        Log(form, write).write("info", "start", address="here")
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            line = pipe.read()
        assert expected in line
        assert b"here" in line
