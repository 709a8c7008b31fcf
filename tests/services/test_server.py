"""No input is an internal error, whatever resource it is sent to."""

import re
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tally.services.server import declared
from tests.support.http import ENTRIES, connect, logged
from tests.support.processes import wait_for

JSON = b"Content-Type: application/json\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
ODD = [
    *(b'{"\\ud800":1}', b'{"value":"\\ud800"}', b'{"values":["\\udfff"]}', b'"\\ud800"'),
    *(b'{"value":1e' + b"9" * 5000 + b"}", b'{"value":' + b"9" * 5000 + b"}"),
    *(b'{"value":0.' + b"0" * 5000 + b"1}", b'{"value":1e-' + b"0" * 5000 + b"1}"),
    *(b"[" * 5000, b'{"a":' * 5000, b"\xff", b"\xed\xa0\x80", b'{"value":"\\u0000"}'),
    *(
        b"value=%ED%A0%80&key=k",
        b"value=%00&key=k",
        b"value=1&key=%FF",
        b"action=undo&id=" + b"9" * 18,
    ),
    *(b"&" * 1000, b"%", b"=" * 100),
]
HEADERS = [
    *(
        b"Authorization: Basic \xff\r\n",
        b"Authorization: Basic ====\r\n",
        b"Authorization: \xff\r\n",
    ),
    *(
        b"Authorization: Basic /////w==\r\n",
        b"Idempotency-Key: \xff\r\n",
        b"Accept: \xff text/html\r\n",
    ),
    *(
        b"Origin: \xff\r\n",
        b"Content-Type: \xff\r\n",
        b"X-Request-Id: \xff\r\n",
        b"If-None-Match: \xff\r\n",
    ),
    *(b"Cookie: \xff\r\n", b"Range: bytes=-1\r\n", b"Sec-Fetch-Site: \xff\r\n"),
]
ENDS = [
    *(
        b"",
        b"?",
        b"/" + b"9" * 5000,
        b"/" + b"9" * 19,
        b"/0",
        b"/%ED%A0%80",
        b"/%00",
        b"?before=" + b"9" * 5000,
    ),
    *(
        b"?limit=\\ud800",
        b"?limit=%FF",
        b"?added=%ED%A0%80",
        b"?done=" + b"9" * 5000,
        b"?undone=%00",
    ),
]
PATHS = sorted({path.partition("{")[0].rstrip("/").encode() or b"/" for _, path in declared()})


@pytest.fixture(scope="module")
def locked(tally_up):
    running = tally_up(TALLY_ADD_TOKEN="add-secret-of-16", TALLY_RESET_TOKEN="reset-secret-of-16")
    yield running
    running.stop()


def statuses(server, request: bytes) -> list[int]:
    with connect(server) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    return [int(status) for status in re.findall(rb"(?m)^HTTP/1\.1 (\d{3}) ", received)]


def message(method: bytes, path: bytes, headers: bytes, body: bytes) -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n%b" % (
        *(method, path, headers, len(body), body),
    )


@pytest.mark.parametrize("html", [b"", b"Accept: text/html\r\n"])
@pytest.mark.parametrize("kind", [JSON, FORM, None], ids=["json", "form", "no body"])
def test_no_odd_input_is_an_internal_error(server, locked, kind, html) -> None:
    for one in (server, locked):
        for path in PATHS:
            if b"events" in path:
                continue  # answers without end
            if kind is None:
                methods = (b"DELETE", b"GET")
                asked = [message(it, path + end, html, b"") for it in methods for end in ENDS]
            else:
                asked = [
                    *(message(b"POST", path, kind + html, body) for body in ODD),
                    *(message(b"POST", path, kind + html + odd, b"{}") for odd in HEADERS),
                ]
            # At once, for a wrong token is answered after a pause.
            with ThreadPoolExecutor(len(asked)) as senders:
                answered = list(senders.map(partial(statuses, one), asked))
            for request, answers in zip(asked, answered, strict=True):
                assert len(answers) == 1, request[:300]
                assert answers[0] < 500, request[:300]
        assert not [line for line in logged(one) if line["event"] == "internal error"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from(PATHS), st.binary(max_size=40), st.binary(max_size=40), st.binary())
def test_no_bytes_are_an_internal_error(server, path, end, header, body) -> None:
    if b"events" not in path:
        request = message(b"POST", path + end, b"X-Any: %b\r\n" % header + JSON, body)
        assert all(status < 500 or status in (501, 505) for status in statuses(server, request))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"\\ud800":1}', 422, "unknown-field"),
        (b'{"value":12e' + b"0" * 5000 + b"2}", 201, '"1200"'),
        (b'{"value":12e-' + b"0" * 5000 + b"2}", 201, '"0.12"'),
    ],
)
def test_odd_values_are_read_for_what_they_are(client, body, status, said) -> None:
    answer = client.post(ENTRIES, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert said in answer.text


WRONG = b"Authorization: Basic \xff\r\n"
REFUSED = {
    "authentication failed": (WRONG, 401),
    "cross-site change refused": (b"Origin: http://evil.example\r\n", 403),
}


@pytest.mark.parametrize("kind", [JSON, FORM], ids=["json", "form"])
@pytest.mark.parametrize("path", [b"/adder_service", b"/reset_service", ENTRIES.encode()])
@pytest.mark.parametrize("event", REFUSED)
def test_a_refused_change_is_a_warning_with_the_client_s_address(locked, event, path, kind) -> None:
    header, status = REFUSED[event]

    def lines() -> list[dict]:
        return [line for line in logged(locked) if line["event"] == event]

    before = len(lines())
    assert statuses(locked, message(b"POST", path, kind + header, b"")) == [status]
    wait_for(lambda: len(lines()) > before)
    assert (lines()[-1]["level"], lines()[-1]["client"]) == ("warning", "127.0.0.1")


def test_a_request_for_an_unknown_host_is_a_warning(server, client) -> None:
    answer = client.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    asked = {"request_id": answer.headers["X-Request-Id"], "event": "unknown host refused"}
    wait_for(lambda: [line for line in logged(server) if asked.items() <= line.items()])
    [line] = [line for line in logged(server) if asked.items() <= line.items()]
    assert (line["level"], line["client"]) == ("warning", "127.0.0.1")


def test_a_client_that_goes_away_is_no_error(server) -> None:
    for _ in range(20):
        with connect(server) as connection:
            head = (
                b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n" % ENTRIES.encode()
            )
            connection.sendall(head + JSON + b"\r\n{")
            # Closing then resets the connection.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for(lambda: sum(line["event"] == "request" for line in logged(server)) >= 20)
    assert not [line for line in logged(server) if line.get("logger") == "asyncio"]
