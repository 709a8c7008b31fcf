"""What a value has to be, and what is said of one that is not so."""

import re

import pytest

from tally.aws.predicates import (
    at_least,
    empty,
    equals,
    given,
    includes,
    matches,
    none_of,
    one_of,
    within,
)

DIGITS = matches(re.compile(r"^\d+$"), "a number")


@pytest.mark.parametrize(
    ("predicate", "found"),
    [
        (equals(False), False),
        (equals("a"), "a"),
        (at_least(2), 2),
        (at_least(2), ["a", "b"]),
        (within(1, 60), 1),
        (within(1, 60), 60),
        (one_of({"a", "b"}), "b"),
        (none_of({"a"}), "b"),
        (none_of({"a"}), None),
        (DIGITS, "1"),
        (DIGITS, ["1", "2"]),
        (includes({"a", "b"}), ["b", "c", "a"]),
        (given, "a"),
        (empty, []),
        (empty, None),
    ],
)
def test_nothing_is_wrong(predicate, found):
    assert predicate(found) == ""


@pytest.mark.parametrize(
    ("predicate", "found", "wrong"),
    [
        (equals(True), None, "not True"),
        (equals(False), None, "not False"),
        (equals(["ALL"]), ["ALL", "SOME"], "not ALL"),
        (at_least(2), 1, "not at least 2"),
        (at_least(2), None, "not at least 2"),
        # Twice the same is one.
        (at_least(2), ["a", "a"], "not at least 2"),
        (within(1, 60), 0, "not between 1 and 60"),
        (within(1, 60), 61, "not between 1 and 60"),
        (within(1, 60), None, "not between 1 and 60"),
        (one_of({"b", "a"}), None, "not one of a, b"),
        (none_of({"a"}), "a", "not allowed"),
        (DIGITS, None, "not a number"),
        (DIGITS, "", "not a number"),
        (DIGITS, [], "not a number"),
        (DIGITS, ["1", "x"], "not a number"),
        (includes({"a", "b", "c"}), ["b"], "missing: a, c"),
        (includes({"a"}), None, "missing: a"),
        (given, "", "not given"),
        (given, None, "not given"),
        (empty, ["a"], "not empty"),
    ],
)
def test_what_is_wrong_is_said(predicate, found, wrong):
    assert predicate(found) == wrong
