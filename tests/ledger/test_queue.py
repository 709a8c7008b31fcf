"""The queue: bounded in values, first in first out, and emptied of what took too long."""

import pytest

from tally.ledger.add import QueueFull, Request
from tally.ledger.queue import Queue


def request(values, deadline=0.0, key=None):
    return Request([1] * values, key, lambda outcome: None, deadline)


def filled(*requests, limit=100):
    queue = Queue(limit)
    for each in requests:
        queue.put(each)
    return queue


def test_it_holds_values_up_to_its_limit():
    queue = filled(request(4), request(6), limit=10)
    with pytest.raises(QueueFull, match="10 values wait already"):
        queue.put(request(1))
    assert queue.values == 10
    queue.take(4)
    queue.put(request(4))
    assert queue.values == 10


@pytest.mark.parametrize("key", [None, "a key"])
def test_who_is_turned_away_hears_whether_a_key_was_given(key):
    with pytest.raises(QueueFull) as full:
        Queue(1).put(request(2, key=key))
    assert full.value.keyed is (key is not None)


def test_requests_are_taken_in_order_up_to_a_number_of_values():
    requests = [request(values) for values in (3, 4, 3, 1)]
    queue = filled(*requests)
    assert queue.take(10) == requests[:3]
    assert queue.take(10) == requests[3:]
    assert not queue
    assert queue.values == 0
    assert queue.take(10) == []


def test_a_request_larger_than_that_is_taken_by_itself():
    requests = [request(11), request(1)]
    queue = filled(*requests)
    assert queue.take(10) == requests[:1]


def test_a_request_that_has_its_answer_is_dropped():
    requests = [request(1), request(1)]
    queue = filled(*requests)
    requests[0].settle(KeyError())
    assert queue.take(10) == requests[1:]
    assert queue.values == 0


def test_requests_past_their_deadline_are_taken_and_the_others_stay():
    requests = [request(2, deadline) for deadline in (1.0, 2.0, 3.0)]
    queue = filled(*requests)
    assert list(queue.take_expired(2.0)) == requests[:2]
    assert queue.values == 2
    assert queue.take(10) == requests[2:]
