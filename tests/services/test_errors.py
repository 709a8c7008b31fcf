"""What clients are told of errors, and how service resumes after an outage."""

import time

import httpx
import pytest

from tally.amount import InvalidAmount
from tally.embedded import postgres
from tally.ledger.database import SchemaOutdated, Unavailable
from tally.ledger.resets import NotUndoable
from tally.ledger.writer import KeyReused, QueueFull, SumOutOfRange
from tally.services.errors import error_page, problem_of
from tally.web.problem import Problem
from tests.support.http import ENTRIES, logged
from tests.support.postgres import urls_of


def test_waits_a_set_time_then_says_so_and_resumes_by_itself(database, tally_up) -> None:
    running = tally_up(**urls_of(database[0]), TALLY_REQUEST_TIMEOUT="1")
    with httpx.Client(base_url=running.url, timeout=60) as client:
        assert client.post(ENTRIES, json={"value": 1}).status_code == 201
        folder = database[0].directory
        database[0].stop()

        started = time.monotonic()
        response = client.post(ENTRIES, json={"value": 2})
        assert time.monotonic() - started > 0.5
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert response.json()["outcome"] in ("not stored", "unknown")
        for path in (
            "/display_service/total",
            "/display_service/entries",
            "/display_service/events",
        ):
            assert client.get(path).status_code == 503
        assert client.post("/reset_service/resets").json()["outcome"] == "not stored"
        for name in ("adder", "display", "reset"):
            assert client.get(f"/{name}_service/healthz").status_code == 200
            assert client.get(f"/{name}_service/readyz").status_code == 503
        html = client.get("/adder_service", headers={"Accept": "text/html"})
        assert html.status_code == 200, "the form stays; the page says that there is no total"

        database.append(postgres.start(folder))
        while client.post(ENTRIES, json={"value": 4}).status_code != 201:
            pass
        for name in ("adder", "display", "reset"):
            assert client.get(f"/{name}_service/readyz").status_code == 200
        values = [e["value"] for e in client.get("/display_service/entries").json()["entries"]]
        assert "2" not in values
    running.stop()
    said = [line for line in logged(running) if line["event"].startswith("database ")]
    adder = [line["event"] for line in said if line["service"] == "adder"]
    assert adder == ["database lost", "database regained"]
    assert all(line["reason"] for line in said if line["event"] == "database lost")


@pytest.mark.parametrize(
    ("error", "status", "rule", "outcome"),
    [
        (InvalidAmount("empty", "must not be empty"), 422, "empty", None),
        (SumOutOfRange(), 422, "sum-out-of-range", None),
        (KeyReused("used"), 422, "idempotency-key-reuse", None),
        (NotUndoable("undone"), 409, None, None),
        (QueueFull("full"), 503, None, "not stored"),
        (QueueFull("full", keyed=True), 503, None, "unknown"),
        (Unavailable("away", keyed=True), 503, None, "unknown"),
        (Unavailable("away"), 503, None, "not stored"),
        (Unavailable("away", outcome_known=False), 503, None, "unknown"),
        (SchemaOutdated("old"), 503, None, "not stored"),
    ],
    ids=repr,
)
def test_each_error_of_the_ledger_is_a_problem(error, status, rule, outcome) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert (problem.status, problem.rule, problem.outcome) == (status, rule, outcome)
    assert ("Retry-After" in problem.headers) == (status == 503)


def test_any_other_error_is_an_internal_one() -> None:
    assert problem_of(KeyError()) is None


@pytest.mark.parametrize(
    ("path", "static"),
    [("/adder_service/x", "adder"), ("/reset_service", "reset"), ("/nowhere", "display")],
)
def test_the_error_page_uses_the_files_of_its_service(path, static) -> None:
    page = error_page(Problem(404, "no such page"), path, "the-id").decode()
    assert f"/{static}_service/static/tally.css" in page
    for said in ("There is nothing here", "No such page.", "the-id"):
        assert said in page
