"""Reading what a request carries."""

import asyncio
import json
import socket

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request

from tally import strict_json
from tally.web import request
from tally.web.problem import Problem
from tally.web.request import (
    BODY_SECONDS,
    MAX_BODY,
    is_form,
    read_body,
    read_form,
    read_json,
    read_key,
    read_page,
    require_content_type,
    require_nothing,
)
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


def incoming(*bodies: bytes, **headers: str) -> Request:
    """A request whose body comes in these parts."""
    messages = [{"type": "http.request", "body": it, "more_body": True} for it in bodies]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.request"}

    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": fields}, receive)


LARGEST = b"x" * MAX_BODY


@pytest.mark.parametrize(
    "asked",
    [
        incoming(),
        incoming(LARGEST),
        incoming(LARGEST[1:], b"y"),
        incoming(LARGEST, content_length=f"{MAX_BODY}"),
        incoming(LARGEST, content_length=f"00{MAX_BODY}"),
        incoming(content_length="0"),
    ],
)
async def test_a_body_may_be_as_large_as_that(asked) -> None:
    assert len(await read_body(asked)) in {0, MAX_BODY}


@pytest.mark.parametrize(
    "asked",
    [
        incoming(LARGEST, b"y"),
        incoming(LARGEST + b"y"),
        incoming(content_length=f"{MAX_BODY + 1}"),
        incoming(content_length=f"{MAX_BODY}0"),
        incoming(content_length="9" * 5000),
    ],
)
async def test_a_body_may_not_be_larger(asked) -> None:
    with pytest.raises(Problem) as caught:
        await read_body(asked)
    assert (caught.value.status, caught.value.rule) == (413, "body-too-large")
    assert caught.value.headers == {"Connection": "close"}


async def test_of_all_bodies_that_are_being_read_so_much_is_held(monkeypatch) -> None:
    monkeypatch.setattr(request, "MAX_HELD", 10)
    parts = asyncio.Queue()
    reading = asyncio.create_task(read_body(Request({"type": "http", "headers": []}, parts.get)))
    parts.put_nowait({"type": "http.request", "body": b"seven b", "more_body": True})
    await asyncio.sleep(0)
    assert await read_body(incoming(b"abc")) == b"abc"
    with pytest.raises(Problem) as caught:
        await read_body(incoming(b"abcd"))
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
    assert await read_body(incoming(b"abc")) == b"abc"
    parts.put_nowait({"type": "http.request"})
    assert await reading == b"seven b"
    assert await read_body(incoming(b"abc", b"1234567")) == b"abc1234567"


@pytest.mark.parametrize(
    ("body", "kind", "refusal"),
    [
        (b"", None, None),
        (b" \r\n", None, None),
        (b"{}", "application/json", None),
        (b" { } ", "application/json", None),
        (b"{}", None, "content-type"),
        (b"a=1", "application/x-www-form-urlencoded", "content-type"),
        (b'{"id": 1}', "application/json", "unknown-field"),
        (b"[]", "application/json", "unknown-field"),
        (b"{", "application/json", "invalid-json"),
    ],
)
def test_where_nothing_is_asked_for_nothing_is_taken(body, kind, refusal) -> None:
    headers = Headers({} if kind is None else {"content-type": kind})
    if refusal is None:
        require_nothing(headers, body)
        return
    with pytest.raises(Problem) as caught:
        require_nothing(headers, body)
    assert caught.value.rule == refusal


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ([("content-type", "application/json")], None),
        ([("content-type", "Application/JSON ; charset=utf-8")], None),
        ([("content-type", "application/json"), ("content-encoding", "Identity")], None),
        ([("content-type", "application/json"), ("content-encoding", "gzip")], "content-encoding"),
        ([("content-type", "application/jsonl")], "content-type"),
        ([("content-type", "application/json")] * 2, "content-type"),
        ([], "content-type"),
    ],
)
def test_a_content_type_is_asked_for(fields, refusal) -> None:
    headers = Headers(raw=[(name.encode(), value.encode()) for name, value in fields])
    assert not is_form(headers)
    assert is_form(Headers({"content-type": "application/x-www-form-urlencoded"}))
    if refusal is None:
        require_content_type(headers, "application/json")
        return
    with pytest.raises(Problem) as caught:
        require_content_type(headers, "application/json")
    assert (caught.value.status, caught.value.rule) == (415, refusal)


async def test_a_slow_body_is_cut_off(clock) -> None:
    parts = asyncio.Queue()
    reading = asyncio.create_task(read_body(Request({"type": "http", "headers": []}, parts.get)))
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
    assert (caught.value.status, caught.value.rule) == (400, "incomplete-body")


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
    assert caught.value.status == (400 if rule == "invalid-json" else 422)


def test_an_object_is_read_and_its_doubled_field_named() -> None:
    assert read_json(b'{"a": [true], "b": {"c": "d"}}') == {"a": [True], "b": {"c": "d"}}
    with pytest.raises(Problem) as caught:
        read_json(b'{"a": 1, "b": 1, "c": 1, "b": 1}')
    assert caught.value.field == "b"


def test_a_long_name_is_shown_in_part() -> None:
    with pytest.raises(Problem) as caught:
        read_json(b'{"%b": 1, "%b": 2}' % (b"n" * 51, b"n" * 51))
    assert caught.value.field == "n" * 50
    assert request.unknown("field", "n" * 51).field == "n" * 50


def test_a_number_of_json_stays_as_it_was_written() -> None:
    numbers = read_json(b"[1.10, 1e3, -0]")
    assert numbers == ["1.10", "1e3", "-0"]
    assert all(isinstance(it, strict_json.Number) for it in numbers)


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
    assert caught.value.status == (400 if rule == "invalid-form" else 422)
    assert read_form(b"value=1.5&key=") == {"value": "1.5", "key": ""}
    most = b"&".join(b"a%d=" % number for number in range(20))
    assert len(read_form(most)) == 20


def keyed(*keys: str) -> Headers:
    return Headers(raw=[(b"idempotency-key", key.encode()) for key in keys])


@pytest.mark.parametrize("key", ["k", "!~", "k" * 255])
def test_a_key_is_read(key) -> None:
    assert read_key(keyed(key)) == key
    assert read_key(keyed()) is None


@pytest.mark.parametrize("keys", [[""], ["two words"], ["k" * 256], ["k", "k"]])
def test_a_key_that_can_t_be_one_is_refused(keys) -> None:
    with pytest.raises(Problem) as caught:
        read_key(keyed(*keys))
    assert (caught.value.status, caught.value.rule) == (422, "invalid-key")


@pytest.mark.parametrize(
    ("query", "page"),
    [
        (b"", (None, 20)),
        (b"before=1", (1, 20)),
        (b"limit=1", (None, 1)),
        (b"limit=100&before=%d" % (2**63 - 1), (2**63 - 1, 100)),
        (b"before=0000000000000000007", (7, 20)),
        (b"before=%d" % 2**63, "out-of-range"),
        (b"before=0", "out-of-range"),
        (b"before=+1", "out-of-range"),
        (b"before=00000000000000000007", "out-of-range"),
        (b"before=", "out-of-range"),
        (b"limit=101", "out-of-range"),
        (b"limit=0", "out-of-range"),
        (b"limit=1&limit=1", "duplicate-field"),
        (b"after=1", "unknown-field"),
        (b"after=", "unknown-field"),
        (b"before=\xff", "invalid-query"),
        (b"&".join([b"limit=1"] * 21), "invalid-query"),
    ],
    ids=lambda it: str(it)[:40],
)
def test_a_page_is_asked_for_by_a_query(query, page) -> None:
    try:
        assert read_page(query, most=100, usual=20) == page
    except Problem as problem:
        assert (problem.status, problem.rule) == (422, page)  # noqa: PT017
