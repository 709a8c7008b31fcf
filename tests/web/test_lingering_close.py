"""Lingering close: a client that sends all before it reads gets its answer, within limits."""

import signal
import socket
import threading
import time

import pytest

from tally.web.lingering_close import MAX_BYTES, MAX_SECONDS
from tally.web.request import MAX_BODY
from tests.support.http import connect
from tests.support.wire import read_answer

HEAD = (
    b"POST /adder_service/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


def status_and_rule(connection: socket.socket) -> tuple[int, str | None]:
    """Read a whole answer; a reset raises."""
    answer = read_answer(connection)
    assert answer.json["status"] == answer.status
    return answer.status, answer.json.get("rule")


MEGABYTES = b" " * 8 * 1024 * 1024
WITH_LENGTH = b"Content-Length: %d\r\n\r\n" % len(MEGABYTES) + MEGABYTES
IN_CHUNKS = (
    b"Transfer-Encoding: chunked\r\n\r\n"
    + (b"10000\r\n" + b" " * 65536 + b"\r\n") * (len(MEGABYTES) // 65536)
    + b"0\r\n\r\n"
)
CLOSE = b"Connection: close\r\n"
# Each is answered before all of it has come.
TOO_MUCH = {
    "length": (HEAD + WITH_LENGTH, (413, "body-too-large")),
    "chunks": (HEAD + IN_CHUNKS, (413, "body-too-large")),
    "type": (HEAD.replace(b"json", b"xml") + CLOSE + WITH_LENGTH, (415, "content-type")),
    "type-kept": (HEAD.replace(b"json", b"xml") + WITH_LENGTH, (415, "content-type")),
    "origin": (HEAD + b"Origin: http://y\r\n" + CLOSE + IN_CHUNKS, (403, "cross-site")),
    "path": (HEAD.replace(b"entries", b"nowhere") + CLOSE + WITH_LENGTH, (404, None)),
    "path-kept": (HEAD.replace(b"entries", b"nowhere") + IN_CHUNKS, (404, None)),
    "method": (HEAD.replace(b"POST", b"PUT") + CLOSE + WITH_LENGTH, (405, None)),
    "http-1.0": (HEAD.replace(b"P/1.1", b"P/1.0") + WITH_LENGTH, (413, "body-too-large")),
    "url": (HEAD.replace(b"entries", b"x" * 9000) + WITH_LENGTH, (414, "url-too-long")),
    "head": (HEAD + b"X-Many: 1\r\n" * 101 + WITH_LENGTH, (431, "headers-too-large")),
    "nonsense": (b"NONSENSE\r\n\r\n" + MEGABYTES, (400, "invalid-http")),
}


@pytest.mark.parametrize(("request_bytes", "expected"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_who_sends_all_before_reading_gets_the_answer(server, request_bytes, expected) -> None:
    for _ in range(50):
        with connect(server) as connection:
            connection.sendall(request_bytes)
            assert status_and_rule(connection) == expected


ENDLESS = HEAD + b"Content-Length: %d\r\n\r\n" % 2**40


def send_until_cut_off(connection: socket.socket, part: bytes, pause: float) -> int:
    """Send for ever; give how many bytes could be sent."""
    sent = 0
    try:
        while True:
            connection.sendall(part)
            sent += len(part)
            time.sleep(pause)
    except (ConnectionResetError, BrokenPipeError):
        return sent


@pytest.mark.parametrize("head", [ENDLESS, ENDLESS.replace(b"entries", b"nowhere")])
def test_a_client_that_never_stops_is_cut_off(server, head) -> None:
    with connect(server) as connection:
        connection.sendall(head)
        read_answer(connection)
        sent = send_until_cut_off(connection, b" " * 65536, 0)
        # What is above is in the kernel's buffers.
        assert MAX_BYTES <= sent <= 2 * MAX_BYTES


def test_a_client_that_never_stops_is_cut_off_in_time_too(server) -> None:
    with connect(server) as connection:
        connection.sendall(ENDLESS)
        started = time.monotonic()
        read_answer(connection)
        send_until_cut_off(connection, b" ", 0.1)
        assert time.monotonic() - started > MAX_SECONDS - 1


def test_a_service_that_stops_still_has_its_answers_read_but_not_for_long(tally_up) -> None:
    running = tally_up()
    with connect(running) as endless, connect(running) as late:
        endless.sendall(ENDLESS)
        read_answer(endless)
        sender = threading.Thread(target=send_until_cut_off, args=(endless, b" ", 0.05))
        sender.start()
        framing, end, chunks = IN_CHUNKS.partition(b"\r\n\r\n")
        late.sendall(HEAD + b"Expect: 100-continue\r\n" + framing + end)
        assert late.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        running.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        time.sleep(0.2)
        late.sendall(chunks[: 2 * MAX_BODY])  # more than it may have, and soon sent
        time.sleep(0.2)
        assert status_and_rule(late) == (413, "body-too-large")
        assert running.stop() == 0
        # What the endless client gets while a service runs; a stop needs far less.
        assert time.monotonic() - asked < MAX_SECONDS
        sender.join()
