"""One line a request, and one for each change of state."""

import os
import re

import pytest

from tally.terminal import escape
from tally.web.log import Log
from tests.support.http import line_of

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


def test_text_for_people_commands_no_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x9b31m\x7f\u202e"
    read, write = os.pipe()
    Log("text", write).write("error", hostile, error=hostile)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        uncoloured = re.sub(r"\x1b\[[0-9]+m", "", pipe.read().decode())
    assert uncoloured.count("owned") == 2
    assert escape(uncoloured) == uncoloured


def test_text_for_people_json_for_programs() -> None:
    for form, expected in (("text", b"\x1b["), ("json", b'{"time":"'), ("auto", b'{"time":"')):
        read, write = os.pipe()
        Log(form, write).write("info", "start", address="here")
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            line = pipe.read()
        assert expected in line
        assert b"here" in line
