"""Whatever bytes come, in whatever pieces: the answers are those of the same requests sent singly.

So no answer overtakes another, none is lost, nothing is carried out unseen, and no part of one
request is read as another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.support.http11_cases import (
    CHUNKED,
    H2C,
    IN_CHUNKS,
    LAST,
    LENGTH,
    TOTAL,
    VALUE,
    WEBSOCKET,
    add,
    add_chunks,
    get,
    request,
)
from tests.support.wire import Answer, exchange, final, read_answers, settled_count

# Each leaves its connection open.
VALID = {
    "add": add(LENGTH),
    "add-spaced": add("Content-Length: 33", body=f"{VALUE:<33}"),
    "add-as-a-browser": add(LENGTH, "Origin: http://localhost"),
    "add-chunk": add_chunks(IN_CHUNKS),
    "add-chunks": add_chunks("".join(f"1\r\n{byte}\r\n" for byte in VALUE) + LAST),
    "add-odd-chunks": add_chunks(
        f"003;a=1\r\n{VALUE[:3]}\r\nA\r\n{VALUE[3:]}\r\n00\r\nX-A: 1\r\n\r\n"
    ),
    "add-upgrade": add(*H2C, LENGTH),
    "add-upgrade-chunks": add_chunks(IN_CHUNKS, *WEBSOCKET),
    "add-expect": add("Expect: 100-continue", LENGTH),
    "total": get(),
    "total-upgrade": get(*WEBSOCKET),
    "total-with-content": get("Content-Length: 5", body="hello"),
    "total-absolute": get(target=f"http://localhost{TOTAL}"),
    "page": get(target="/"),
    "health": get(target="/adder_service/healthz"),
    "unknown": get(target="/none"),
    "unknown-add": add(LENGTH).replace("/entries", "/none"),
    "head": request(f"HEAD {TOTAL} HTTP/1.1"),
    "head-unknown": request("HEAD /none HTTP/1.1"),
    "not-allowed": request("PUT /adder_service/entries HTTP/1.1", LENGTH, body=VALUE),
    "no-json": add("Content-Length: 4", body="none"),
    "no-value": add(LENGTH, body='{"value":"x"}'),
    "no-type": add(LENGTH).replace("json", "xml"),
    "no-type-upgrade": add_chunks(IN_CHUNKS, *H2C).replace("json", "xml"),
    "hidden-add": add_chunks(f"{len(add(LENGTH)):x}\r\n{add(LENGTH)}\r\n{LAST}"),
    "cross-site": add(LENGTH, "Origin: http://evil.example"),
}
# Each may only be the last.
LAST_ONE = {
    "close": add(LENGTH, "Connection: close"),
    "http-1.0": add(LENGTH, version="HTTP/1.0"),
    "no-host": get(host=None),
    "both-lengths": add(LENGTH, CHUNKED, body=IN_CHUNKS),
    "bad-chunk": add_chunks(f"0xd\r\n{VALUE}\r\n{LAST}"),
    "nonsense": "NONSENSE\r\n\r\n",
    "no-tunnel": request("CONNECT localhost:80 HTTP/1.1"),
}
REQUESTS = VALID | LAST_ONE

# What changes where a request ends, or hides that it does.
CRUCIAL = (
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    "\xff",
    "\r\n\r\n",
    LAST,
    "x" * 40_000,
    "\r\n" * 5000,
    f"{CHUNKED}\r\n",
    f"{LENGTH}\r\n",
    "Content-Length: 5\r\n",
    "Connection: close\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "GET / HTTP/1.1\r\n",
)
# 100 examples of each property take some seconds; the same ones each time, so that a failure is
# the change's own.
EXAMPLES = settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

places = st.integers(0, 10_000)


@st.composite
def sequences(draw: st.DrawFn) -> list[str]:
    """Names of requests."""
    names = draw(st.lists(st.sampled_from(sorted(VALID)), min_size=1, max_size=6))
    return names + draw(st.lists(st.sampled_from(sorted(LAST_ONE)), max_size=1))


@dataclass(frozen=True)
class Change:
    """One change of bytes, at a place that is taken modulo their number."""

    kind: str
    place: int
    length: int
    inserted: str

    def of(self, data: bytes) -> bytes:
        at = self.place % (len(data) + 1)
        before, there, after = data[:at], data[at : at + self.length], data[at + self.length :]
        match self.kind:
            case "flip":
                flipped = bytes(byte ^ 1 << self.length % 8 for byte in there[:1])
                return before + flipped + there[1:] + after
            case "insert":
                return before + self.inserted.encode("latin-1") + there + after
            case "delete":
                return before + after
            case "duplicate":
                return before + there + there + after
            case _:
                return before


changes = st.lists(
    st.builds(
        Change,
        st.sampled_from(["flip", "insert", "delete", "duplicate", "truncate"]),
        places,
        st.integers(1, 60),
        st.sampled_from(CRUCIAL),
    ),
    min_size=1,
    max_size=4,
)


def mutated(names: list[str], changed: list[Change]) -> bytes:
    data = "".join(REQUESTS[name] for name in names).encode()
    for change in changed:
        data = change.of(data)
    note(f"sent {data!r}")
    return data


def in_pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[start:end] for start, end in pairwise(places))


def method_of(text: str) -> str:
    return text.partition(" ")[0]


@pytest.fixture(scope="module")
def singly(server) -> dict[str, int | None]:
    """The status of each request alone on its connection; None for none."""
    statuses = {}
    for name, text in REQUESTS.items():
        received = exchange(server, [text.encode()], half_close=True)
        answers = final(read_answers(received, [method_of(text)]))
        assert len(answers) <= 1, f"{name}: {received!r}"
        statuses[name] = answers[0].status if answers else None
    return statuses


def test_the_pool_has_what_it_says(singly) -> None:
    for name, status in singly.items():
        if "add" in name and name not in {"unknown-add", "hidden-add"}:
            assert status == 201, name
    assert {status for name, status in singly.items() if name in VALID} == {
        200,
        201,
        400,
        403,
        404,
        405,
        415,
        422,
    }


@EXAMPLES
@given(names=sequences(), cuts=st.lists(places, max_size=12))
def test_requests_in_a_row_are_answered_as_singly(server, add, singly, names, cuts) -> None:
    texts = [REQUESTS[name] for name in names]
    before = settled_count(add)
    sent = "".join(texts).encode()
    received = exchange(server, in_pieces(sent, cuts), half_close=True)
    answers = final(read_answers(received, map(method_of, texts)))
    assert [it.status for it in answers] == [singly[name] for name in names]
    assert [fault for answer in answers for fault in answer.faults] == []
    assert settled_count(add) - before - 1 == sum(it.status == 201 for it in answers)


@EXAMPLES
@given(names=sequences(), changed=changes, cuts=st.lists(places, max_size=12))
def test_no_bytes_get_another_answer_than_what_was_done(server, add, names, changed, cuts) -> None:
    data = mutated(names, changed)
    before = settled_count(add)
    received = exchange(server, in_pieces(data, cuts), half_close=True)
    answers = final(read_answers(received))
    # What still answers is asked here too.
    added = settled_count(add) - before - 1
    assert [fault for answer in answers for fault in answer.faults] == []
    assert {it.status for it in answers} & {500, 502, 503, 504} == set()
    unanswered = added - sum(it.status == 201 for it in answers)
    assert unanswered == 0 or (unanswered == 1 and not is_last_word(answers)), received


def is_last_word(answers: list[Answer]) -> bool:
    """Tell whether the server said that it would do no more: closing without a word, it may.

    Then a client must ask again what became of its add; after a refusal it needn't.
    """
    return bool(answers) and answers[-1].headers.get("connection") == "close"


@EXAMPLES
@given(names=sequences(), changed=changes, cuts=st.lists(places, min_size=1, max_size=12))
def test_the_pieces_make_no_difference(server, names, changed, cuts) -> None:
    data = mutated(names, changed)
    whole, split = (
        [it.status for it in final(read_answers(exchange(server, pieces, half_close=True)))]
        for pieces in ([data], in_pieces(data, cuts))
    )
    # Where one was closed without a word, the other may have been answered once more.
    assert whole[: len(split)] == split[: len(whole)]
