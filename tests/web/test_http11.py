"""HTTP/1.1 as its RFCs ask for it: each request gets its answer, and ends where it ends."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import http11_cases as requests
from tests.support.http import connect
from tests.support.http11_cases import CASES, HOST, LENGTH, TOTAL, VALUE, Case, Then
from tests.support.wire import Answer, exchange, final, read_answers, settled_count

# The next request on the connection; its answer is known by its id.
FOLLOWING = requests.get("X-Request-Id: following", "Connection: close").encode()
FOLLOWING_STATUSES = {
    Then.OPEN: ([200],),
    Then.EITHER: ([], [200]),
    Then.CLOSED: ([],),
    Then.CUT: ([],),
}
RULE = re.compile(r"(RFC [0-9]{4}, )?[0-9]+(\.[0-9]+)*( and [0-9.]+)?: .+")


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def bit_by_bit(data: bytes) -> Iterator[bytes]:
    """One byte at a time; what is long, in some hundred pieces."""
    size = 1 + len(data) // 500
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("pieces", [whole, bit_by_bit])
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_request_is_answered_as_its_rfc_says(server, add, case, pieces) -> None:
    before = settled_count(add)
    cut = case.right.then is Then.CUT
    sent = case.sent if cut else case.sent + FOLLOWING
    received = exchange(server, pieces(sent), half_close=cut)
    answers = read_answers(received, [case.method, "GET"])
    added = settled_count(add) - before - 1
    assert faults(case, answers, added) == [], f"{case.rule}\nsent {sent!r}\ngot {received!r}"


def faults(case: Case, answers: list[Answer], added: int) -> list[str]:
    found = [f"{answer.status}: {fault}" for answer in answers for fault in answer.faults]
    own = [it for it in final(answers) if it.headers.get("x-request-id") != "following"]
    following = [it.status for it in final(answers) if it not in own]
    statuses, then = case.right.statuses, case.right.then
    if len(own) != 1 and not (then is Then.CUT and not own):
        found.append(f"{len(own)} answers")
    found += [
        f"status {it.status}, not {sorted(statuses)}" for it in own if it.status not in statuses
    ]
    if following not in FOLLOWING_STATUSES[then]:
        found.append(f"the following request got {following}")
    if added != sum(it.status == 201 for it in own):
        found.append(f"{added} values were added")
    if case.is_http_1_0:
        found += [f"{it.status} to HTTP/1.0" for it in answers if not it.final]
        found += ["chunks to HTTP/1.0" for it in own if "transfer-encoding" in it.headers]
    return found


def test_each_case_has_a_name_and_a_rule() -> None:
    assert [name for name, uses in Counter(case.id for case in CASES).items() if uses > 1] == []
    assert [case.id for case in CASES if not RULE.fullmatch(case.rule)] == []


@pytest.mark.parametrize("framing", [f"Content-Length: {len(VALUE)}", "Transfer-Encoding: chunked"])
def test_a_client_that_waits_for_100_continue_gets_it(server, framing) -> None:
    """RFC 9110, section 10.1.1: a server that wants the content says so."""
    with connect(server) as connection:
        connection.sendall(
            requests.add(framing, "Expect: 100-continue", "Connection: close", body="").encode()
        )
        received = connection.recv(65536)
        assert read_answers(received) == [Answer(100, {}, b"")]
        body = VALUE if "Length" in framing else f"d\r\n{VALUE}\r\n0\r\n\r\n"
        connection.sendall(body.encode())
        while part := connection.recv(65536):
            received += part
    assert [it.status for it in read_answers(received)] == [100, 201]


def test_not_modified_has_no_content(server, client) -> None:
    """RFC 9110, section 15.4.5: and what follows it is the next answer."""
    path = "/display_service/static/tally.css"
    tag = client.get(path, headers={"Accept-Encoding": "identity"}).headers["ETag"]
    asked = requests.get(f"If-None-Match: {tag}", target=path).encode() + FOLLOWING
    answers = read_answers(exchange(server, [asked]))
    assert [(it.status, it.faults) for it in answers] == [(304, []), (200, [])]


def test_a_client_that_half_closes_gets_its_answers(server) -> None:
    """RFC 9112, section 9.6 lets either side stop sending, and go on reading."""
    asked = (requests.get() + requests.add(LENGTH) + requests.get(target="/none")).encode()
    answers = final(read_answers(exchange(server, [asked], half_close=True)))
    assert [it.status for it in answers] == [200, 201, 404]


def test_head_says_what_get_says(server) -> None:
    """RFC 9110, section 9.3.2."""
    asked = f"HEAD {TOTAL} HTTP/1.1\r\n{HOST}\r\n\r\n".encode() + FOLLOWING
    head, following = read_answers(exchange(server, [asked]), ["HEAD", "GET"])
    assert head.headers["content-length"] == str(len(following.body))
    assert head.headers["content-type"] == following.headers["content-type"]
