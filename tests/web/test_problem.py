"""Errors as programs see them: problem+json."""

import json

import pytest
from starlette.exceptions import HTTPException

from tally.web.problem import Problem, problem_json, refused, routing_problem


def test_a_problem_says_what_it_knows_and_nothing_else() -> None:
    problem = refused("empty", "value must not be empty", "value")
    assert json.loads(problem_json(problem, "id")) == {
        "type": "about:blank",
        "title": "Not accepted",
        "status": 422,
        "detail": "value must not be empty",
        "field": "value",
        "rule": "empty",
        "request_id": "id",
    }


def test_a_problem_says_all_that_it_knows() -> None:
    problem = Problem(
        503,
        "full",
        rule="r",
        field="f",
        outcome="unknown",
        retry_after=2,
        headers={"Connection": "close"},
    )
    assert json.loads(problem_json(problem, "id")) == {
        "type": "about:blank",
        "title": "Not available right now",
        "status": 503,
        "detail": "full",
        "field": "f",
        "rule": "r",
        "outcome": "unknown",
        "request_id": "id",
    }
    assert problem.headers == {"Connection": "close", "Retry-After": "2"}
    assert (str(problem), problem.retry_after) == ("full", 2)


def test_what_utf_8_can_t_write_is_shown() -> None:
    problem = Problem(400, "half \ud800", field="\udfff")
    assert (problem.detail, problem.field) == ("half \\ud800", "\\udfff")


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (400, "Bad Request"),
        (404, "There is nothing here"),
        (413, "Too large"),
        (422, "Not accepted"),
        (503, "Not available right now"),
    ],
)
def test_a_status_has_a_title(status, title) -> None:
    assert Problem(status, "x").title == title


def test_people_read_a_sentence() -> None:
    assert Problem(400, "the form can't be read").sentence == "The form can't be read."


def test_when_to_try_again_is_in_a_header() -> None:
    assert Problem(503, "full", retry_after=1).headers == {"Retry-After": "1"}


def test_the_allowed_methods_come_in_order() -> None:
    problem = routing_problem(HTTPException(405, headers={"Allow": "POST, GET, HEAD"}))
    assert problem.headers == {"Allow": "GET, HEAD, POST"}
    assert problem.detail == "this resource does not take that method; see the Allow header"
    assert routing_problem(HTTPException(404)).detail == "no such page or resource"
    assert routing_problem(HTTPException(418, "tea")).detail == "tea"
