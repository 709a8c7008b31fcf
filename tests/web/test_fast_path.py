"""The fast path: a request gets the same answer on it and beside it."""

import socket
import threading

import httpx
import pytest

from tests.support.http import ENTRIES, connect, line_of
from tests.support.wire import exchange, read_answer, read_answers

BODY = b'{"value": "1.25"}'
HEAD = (
    b"POST /adder_service/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 17\r\n"
)
PLAIN = HEAD + b"\r\n" + BODY
# Each says the same as PLAIN in a way that is not for the fast path.
CAREFUL = {
    "charset": PLAIN.replace(b"json\r\n", b"json; charset=utf-8\r\n"),
    "chunked": PLAIN.replace(b"Content-Length: 17", b"Transfer-Encoding: chunked").replace(
        BODY, b"11\r\n" + BODY + b"\r\n0\r\n\r\n"
    ),
    "query": PLAIN.replace(b"entries", b"entries?"),
    "close": PLAIN.replace(b"Host", b"Connection: close\r\nHost"),
    "http-1.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "http-1.0-kept": PLAIN.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"),
    "header-twice": PLAIN.replace(b"Host", b"X-Any: 1\r\nX-Any: 2\r\nHost"),
    "origin": PLAIN.replace(b"Host: localhost", b"Host: localhost\r\nOrigin: http://localhost"),
}


@pytest.fixture
def connection(server):
    with connect(server) as connection:
        yield connection


def what_all_say(headers: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in ("date", "x-request-id", "content-length", "connection")
    }


@pytest.mark.parametrize("form", CAREFUL)
def test_the_fast_path_answers_as_the_careful_way_does(connection, server, form) -> None:
    connection.sendall(PLAIN)
    plain = read_answer(connection)
    assert (plain.status, plain.json["value"]) == (201, "1.25")
    connection.sendall(CAREFUL[form])
    careful = read_answer(connection)
    assert careful.status == plain.status
    assert what_all_say(careful.headers) == what_all_say(plain.headers)
    assert careful.json.keys() == plain.json.keys()
    for number in ("id", "count"):
        assert careful.json[number] == plain.json[number] + 1
    ours = [line_of(server, answer.headers["x-request-id"]) for answer in (plain, careful)]
    for line in ours:
        for differs in ("time", "request_id", "duration_ms"):
            del line[differs]
        assert line["route"] == ENTRIES
    assert ours[0] == ours[1] or form == "query"


@pytest.mark.parametrize("at", [1, 30, len(HEAD) + 1, len(HEAD) + 2, len(PLAIN) - 1])
def test_a_request_in_two_pieces_is_answered_alike(connection, at) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(PLAIN[:at])
    threading.Event().wait(0.05)
    connection.sendall(PLAIN[at:])
    assert read_answer(connection).status == 201
    connection.sendall(PLAIN)
    assert read_answer(connection).status == 201


def test_requests_sent_at_once_are_answered_in_order(server) -> None:
    bodies = [b'{"value": %d}' % number for number in range(1, 10)]
    sent = b"".join(HEAD.replace(b"17", b"%d" % len(body)) + b"\r\n" + body for body in bodies)
    answers = [it.json for it in read_answers(exchange(server, [sent], half_close=True))]
    assert [answer["value"] for answer in answers] == [str(number) for number in range(1, 10)]
    ids = [answer["id"] for answer in answers]
    assert ids == list(range(ids[0], ids[0] + len(bodies)))


def test_a_long_body_before_the_next_head_does_not_make_that_head_long(connection) -> None:
    spaces = b" " * 100_000
    long = HEAD.replace(b"17", b"%d" % (len(BODY) + len(spaces))) + b"\r\n" + spaces + BODY
    connection.sendall(long + PLAIN[:20])
    assert read_answer(connection).status == 201
    connection.sendall(PLAIN[20:])
    assert read_answer(connection).status == 201


def test_a_trailer_is_no_header(connection, add) -> None:
    chunked = CAREFUL["chunked"].replace(
        b"0\r\n\r\n", b"0\r\nIdempotency-Key: in-a-trailer\r\n\r\n"
    )
    connection.sendall(chunked)
    assert read_answer(connection).status == 201
    answer = add(7, **{"Idempotency-Key": "in-a-trailer"})
    assert answer.status_code == 201
    assert "Idempotency-Replayed" not in answer.headers


def test_a_key_counts_the_same_on_both_ways(connection, client) -> None:
    keyed = HEAD + b"Idempotency-Key: fast-or-not\r\n\r\n" + BODY
    connection.sendall(keyed)
    first = read_answer(connection)
    connection.sendall(keyed)
    second = read_answer(connection)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    careful = client.post(
        ENTRIES, json={"value": "1.25"}, headers={"Idempotency-Key": "fast-or-not", "X-Y": "1"}
    )
    assert first.json == second.json == careful.json()
    connection.sendall(keyed.replace(b"1.25", b"1.26"))
    reused = read_answer(connection)
    assert (reused.status, reused.json["rule"]) == (422, "idempotency-key-reuse")
    assert reused.headers["content-type"] == "application/problem+json"
    assert reused.json["request_id"] == reused.headers["x-request-id"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"Idempotency-Key: \r\n", 422),
        (b"Idempotency-Key: " + b"k" * 256 + b"\r\n", 422),
        (b"Idempotency-Key: two words\r\n", 422),
        (b"Idempotency-Key: caf\xe9\r\n", 422),
        (b"Sec-Fetch-Site: cross-site\r\n", 403),
        (b"Origin: null\r\n", 403),
    ],
)
def test_what_breaks_a_rule_is_refused(connection, count, header, status) -> None:
    before = count()
    connection.sendall(HEAD + header + b"\r\n" + BODY)
    assert read_answer(connection).status == status
    assert count() == before


def test_the_token_is_asked_for_on_both_ways(tally_up) -> None:
    locked = tally_up(TALLY_ADD_TOKEN="secret-of-16-chrs")
    with httpx.Client(base_url=locked.url) as client:
        for given, status in (
            (None, 401),
            ("Bearer secret-of-16-chrs", 201),
            ("bearer  secret-of-16-chrs", 201),
            ("Bearer secret2", 401),
            ("Basic secret", 401),
        ):
            headers = {} if given is None else {"Authorization": given}
            answer = client.post(ENTRIES, json={"value": "1"}, headers=headers)
            assert answer.status_code == status, given
        assert client.get("/display_service/total").json()["sum"] == "2"
    locked.stop()


def test_an_error_on_the_fast_path_is_a_page_for_people(client, add) -> None:
    add(1, **{"Idempotency-Key": "page-for-people"})
    answer = add(2, **{"Idempotency-Key": "page-for-people", "Accept": "text/html"})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("text/html")


def test_the_total_is_answered_as_the_careful_way_does(client) -> None:
    plain = client.get("/display_service/total")
    careful = client.get("/display_service/total?")
    assert plain.json() == careful.json()
    assert what_all_say(plain.headers) == what_all_say(careful.headers)
    head = client.head("/display_service/total")
    assert what_all_say(head.headers) == what_all_say(plain.headers)
