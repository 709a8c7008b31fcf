"""Reading what a request carries."""

import asyncio
import json
import socket

import pytest
from starlette.requests import Request

from tally.web.problem import Problem
from tally.web.request import BODY_SECONDS, MAX_BODY, read_body, read_form, read_json
from tests.support.http import connect

HEAD = (
    b"POST /adder_service/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


def rule_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), json.loads(body)["rule"]


def test_a_body_too_large_is_refused_by_its_length(raw) -> None:
    answer = raw(HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1))
    assert rule_of(answer) == (413, "body-too-large")


def test_a_chunked_body_is_counted_as_it_comes(raw, count) -> None:
    before = count()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    answer = raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17 + b"0\r\n\r\n")
    assert rule_of(answer) == (413, "body-too-large")
    assert count() == before


async def test_a_slow_body_is_cut_off(clock) -> None:
    parts = asyncio.Queue()
    request = Request({"type": "http", "headers": []}, parts.get)
    reading = asyncio.create_task(read_body(request))
    parts.put_nowait({"type": "http.request", "body": b"some", "more_body": True})
    await clock.advance(BODY_SECONDS - 1)
    assert not reading.done()
    parts.put_nowait({"type": "http.request", "body": b"more", "more_body": True})
    await clock.advance(2)
    with pytest.raises(Problem) as caught:
        await reading
    assert (caught.value.status, caught.value.rule) == (408, "body-timeout")
    assert caught.value.headers == {"Connection": "close"}


async def test_a_body_cut_short_is_said_to_be() -> None:
    parts = asyncio.Queue()
    parts.put_nowait({"type": "http.request", "body": b"some", "more_body": True})
    parts.put_nowait({"type": "http.disconnect"})
    with pytest.raises(Problem) as caught:
        await read_body(Request({"type": "http", "headers": []}, parts.get))
    assert caught.value.rule == "incomplete-body"


def test_a_body_cut_short_adds_nothing(server, count) -> None:
    before = count()
    with connect(server) as connection:
        connection.sendall(HEAD + b'Content-Length: 12\r\n\r\n{"value": 1')
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert count() == before


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "invalid-json"),
        (b"\xff", "invalid-json"),
        (b"[NaN]", "invalid-json"),
        (b"[" * 100_000, "invalid-json"),
        (b'{"a": {"b": 1, "b": 1}}', "duplicate-field"),
    ],
    ids=lambda part: str(part)[:24],
)
def test_json_is_read_strictly(body, rule) -> None:
    with pytest.raises(Problem) as caught:
        read_json(body)
    assert caught.value.rule == rule


def test_a_number_of_json_stays_as_it_was_written() -> None:
    assert read_json(b"[1.10, 1e3, -0]") == ["1.10", "1e3", "-0"]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"a=1&a=2", "duplicate-field"),
        (b"a=%ff", "invalid-form"),
        (b"\xff", "invalid-form"),
        (b"&".join(b"a%d=1" % number for number in range(21)), "invalid-form"),
    ],
    ids=lambda part: str(part)[:24],
)
def test_a_form_that_can_t_be_read_is_refused(body, rule) -> None:
    with pytest.raises(Problem) as caught:
        read_form(body)
    assert caught.value.rule == rule
    assert read_form(b"value=1.5&key=") == {"value": "1.5", "key": ""}
