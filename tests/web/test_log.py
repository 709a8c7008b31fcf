"""One line a request, and one for each change of state."""

import asyncio
import json
import os
import re
import socket

import pytest

from tally.terminal import escape
from tally.web.log import MAX_WAITING, Log
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
            "/reset_service/resets/{id:id}",
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


def unread(kind: str) -> tuple[int, int]:
    """Give two descriptors: one to write to, and the one that is read."""
    if kind == "pipe":
        read, write = os.pipe()
    elif kind == "socket":
        write, read = (end.detach() for end in socket.socketpair())
    else:
        read, write = os.openpty()
    return write, read


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
async def test_a_reader_that_stalls_stops_nothing_and_learns_what_it_missed(kind) -> None:
    write, read = unread(kind)
    log = Log("json", write)
    text = "x" * 1000
    number = 2 * MAX_WAITING // len(text)
    for place in range(number):
        log.write("info", text, place=place)
        await asyncio.sleep(0)
    received = bytearray()

    def read_all() -> None:
        while b"log lines lost" not in received:
            received.extend(os.read(read, 65536))

    reading = asyncio.create_task(asyncio.to_thread(read_all))
    await reading
    lines = [json.loads(line) for line in received.splitlines() if line]
    places = [line["place"] for line in lines if line["event"] == text]
    [lost] = [line["lines"] for line in lines if line["event"] == "log lines lost"]
    assert places == sorted(places)
    assert len(places) + lost == number
    os.close(write)
    os.close(read)


def test_a_full_disk_stops_nothing_and_what_was_lost_is_said() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    log = Log("json", descriptor)
    for _ in range(10_000):
        log.write("info", "event")
    read, write = os.pipe()
    os.dup2(write, descriptor)
    log.write("info", "room again")
    lines = [json.loads(line) for line in os.read(read, 65536).splitlines()]
    for opened in (descriptor, read, write):
        os.close(opened)
    assert [line["event"] for line in lines][-2:] == ["room again", "log lines lost"]
    assert lines[-1]["lines"] + len(lines) - 2 == 10_000


def test_a_reader_that_is_gone_stops_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    log = Log("json", write)
    for _ in range(100):
        log.write("info", "event")
    os.close(write)
    log.write("info", "event")
