"""One line a request, and one for each change of state."""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import re
import select
import socket
import time
import warnings
from datetime import UTC, datetime

import pytest

from tally.terminal import escape
from tally.web.log import MAX_WAITING, RETRY_SECONDS, Bridge, Log
from tests.support.http import line_of
from tests.support.web_server import Lines

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


def written(form: str, *calls) -> bytes:
    """What a log writes to a pipe."""
    read, write = os.pipe()
    log = Log(form, write)
    for call in calls:
        call(log)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        return pipe.read()


def test_a_log_writes_to_stdout(capfd) -> None:
    Log("json").write("info", "began")
    said = capfd.readouterr()
    assert (json.loads(said.out)["event"], said.err) == ("began", "")


@pytest.mark.parametrize(("seconds", "shown"), [(0.0123456, 12.34), (0.00999999, 9.99), (1, 1000)])
def test_durations_are_in_hundredths_of_a_millisecond(seconds, shown) -> None:
    fields = {"service": "adder", "method": "GET", "route": None, "request_id": "id", "status": 200}
    line = written("json", lambda log: log.write_request(**fields, seconds=seconds))
    assert json.loads(line)["duration_ms"] == shown


@pytest.mark.parametrize(("status", "level"), [(200, "info"), (499, "info"), (500, "error")])
def test_what_a_request_s_line_says(status, level) -> None:
    fields = {"service": "adder", "method": "GET", "route": None, "request_id": "id"}
    line = json.loads(
        written("json", lambda log: log.write_request(**fields, status=status, seconds=0.0123456))
    )
    assert datetime.fromisoformat(line.pop("time")).tzinfo == UTC
    said = {"event": "request", "status": status, "level": level, "duration_ms": 12.34}
    assert line == fields | said


@pytest.mark.parametrize(("level", "colour"), [("info", 32), ("warning", 33), ("error", 31)])
def test_how_a_line_looks_to_people(level, colour) -> None:
    line = written("text", lambda log: log.write(level, "began", at="here\x07", number=1)).decode()
    moment, rest = line[4:16], line[16:]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", moment)
    assert line.startswith("\x1b[2m")
    assert rest == (
        f"\x1b[0m \x1b[{colour}mbegan\x1b[0m"
        f" \x1b[2mat=\x1b[0mhere{escape(chr(7))} \x1b[2mnumber=\x1b[0m1\n"
    )


def test_a_line_that_can_t_be_written_fails_where_it_is_written_and_keeps_no_other_back() -> None:
    reader, writer = os.pipe()
    log = Log("json", writer)
    with pytest.raises(TypeError):
        log.write("info", "no JSON", value=object())
    log.write("info", "the next")
    log.flush()
    assert json.loads(os.read(reader, 10_000))["event"] == "the next"
    os.close(reader)
    os.close(writer)


async def test_the_lines_of_one_turn_of_the_loop_are_of_one_moment_and_written_at_once() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    log = Log("json", write)
    moments = []
    for _ in range(2):
        for _ in range(3):
            log.write("info", "event")
            time.sleep(0.002)  # noqa: ASYNC251 - the loop's turn takes so long
        with pytest.raises(BlockingIOError):
            os.read(read, 1)
        await asyncio.sleep(0)
        lines = [json.loads(line) for line in os.read(read, 65536).splitlines()]
        assert len(lines) == 3
        [moment] = {line["time"] for line in lines}
        moments.append(moment)
    assert moments[0] < moments[1]
    os.close(write)
    os.close(read)


async def test_a_reader_that_stalls_is_tried_by_one_timer_and_one_that_reads_by_none() -> None:
    timers = asyncio.get_running_loop()._scheduled
    read, write = os.pipe()
    os.set_blocking(write, False)
    log = Log("json", write)
    log.write("info", "taken")
    await asyncio.sleep(0)
    assert timers == []
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * select.PIPE_BUF)
    for _ in range(5):
        log.write("info", "waits")
        await asyncio.sleep(0)
    assert len(timers) == 1
    while b"waits" not in os.read(read, 65536):  # noqa: ASYNC110 - a pipe has no event
        await asyncio.sleep(RETRY_SECONDS)
    assert timers == []
    os.close(write)
    os.close(read)


def test_a_pipe_with_little_room_is_given_little() -> None:
    """More would wait for its reader."""
    read, write = os.pipe()
    room = fcntl.fcntl(write, fcntl.F_GETPIPE_SZ)
    os.write(write, b"x" * (room - select.PIPE_BUF))
    log = Log("json", write)
    log.write("info", "y" * select.PIPE_BUF)
    log.write("info", "waits")
    taken = os.read(read, room).lstrip(b"x")
    assert len(taken) == select.PIPE_BUF
    log.flush()
    lines = [json.loads(line) for line in (taken + os.read(read, room)).splitlines()]
    assert [line["event"] for line in lines] == ["y" * select.PIPE_BUF, "waits"]
    os.close(write)
    os.close(read)


def test_what_libraries_say_is_logged() -> None:
    log = Lines()
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = root.handlers[:]
    Bridge(log).install()
    try:
        library = logging.getLogger("library")
        library.info("not this")
        library.warning(" low on %s ", "ink")
        library.error("failed", exc_info=KeyError("gone"))
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", stacklevel=1)
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)
    low, failed, old = log.lines
    assert (low["level"], low["event"], low["logger"]) == ("warning", "low on ink", "library")
    assert "error" not in low
    assert (failed["level"], failed["event"]) == ("error", "failed")
    assert failed["error"].endswith("KeyError: 'gone'")
    assert (old["level"], old["logger"]) == ("warning", "py.warnings")


@pytest.mark.parametrize(("wish", "coloured"), [("1", False), ("", True)])
def test_who_wants_no_colours_gets_none(monkeypatch, wish, coloured) -> None:
    monkeypatch.setenv("NO_COLOR", wish)
    line = written("text", lambda log: log.write("info", "began", at="here"))
    assert (b"\x1b" in line) is coloured
    assert coloured or line.endswith(b" began at=here\n")


def test_text_for_people_commands_no_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x9b31m\x7f\u202e"
    line = written("text", lambda log: log.write("error", hostile, error=hostile))
    uncoloured = re.sub(r"\x1b\[[0-9]+m", "", line.decode())
    assert uncoloured.count("owned") == 2
    assert escape(uncoloured) == uncoloured


def test_text_for_people_json_for_programs() -> None:
    for form, expected in (("text", b"\x1b["), ("json", b'{"time":"'), ("auto", b'{"time":"')):
        line = written(form, lambda log: log.write("info", "start", address="here"))
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
