"""A request is answered once, and an error says what was stored."""

import pytest

from tally.ledger.add import Added, Key, QueueFull, Request, SumOutOfRange, digest
from tally.ledger.failures import Unavailable

ADDED = Added(first_id=1, last_id=1, sum=1, count=1)


def request_of(answers: list[object], key: Key | None = None) -> Request:
    return Request([1], key, answers.append, deadline=1.0)


def test_who_claims_a_request_answers_it_and_nobody_after() -> None:
    answers: list[object] = []
    request = request_of(answers)
    answer = request.claim()
    request.settle(QueueFull("the second"))
    request.claim()(QueueFull("the third"))
    answer(ADDED)
    assert answers == [ADDED]


def test_each_is_itself_however_alike_another_is() -> None:
    answers: list[object] = []
    assert request_of(answers) != request_of(answers)


@pytest.mark.parametrize(
    ("batch", "body"),
    [(False, "single"), (True, "batch")],
)
def test_a_body_is_known_again_by_later_releases(batch: bool, body: str) -> None:
    assert Key.of("one", [1, -2], batch=batch) == (digest("one"), digest(f"{body}:1,-2"))
    assert digest("one") == "c88d4df74262143a08e9d190e3bd67f1"


def test_an_error_says_whether_it_was_under_a_key() -> None:
    assert [QueueFull("full").keyed, QueueFull("full", keyed=True).keyed] == [False, True]
    assert str(QueueFull("full")) == "full"


@pytest.mark.parametrize("key", [None, Key.of("one", [1], batch=False)])
def test_what_is_unavailable_may_be_asked_again_under_its_key(key) -> None:
    answers: list[object] = []
    request_of(answers, key).settle(Unavailable("gone"))
    [error] = answers
    assert isinstance(error, Unavailable)
    assert error.keyed == (key is not None)


def test_a_total_out_of_range_says_how_large_it_may_be() -> None:
    assert str(SumOutOfRange()) == "the sum would have more than 29 digits before the point"
