"""What every answer has: a request id, security headers, and a problem in place of an error."""

import json
import re
import time

import pytest

from tally.web.exchange import Disconnected
from tally.web.hosts import Hosts
from tally.web.log import Log
from tally.web.middleware import Middleware
from tally.web.problem import Problem
from tests.support.http import line_of


@pytest.mark.parametrize("header", ["X-Request-Id", "X-Amzn-Trace-Id"])
def test_request_id_is_taken_over(client, server, header) -> None:
    given = f"Root=1-{time.time_ns()}-abc"
    answer = client.get("/display_service/healthz", headers={header: given})
    assert answer.headers["X-Request-Id"] == given
    assert line_of(server, given)["status"] == 200


@pytest.mark.parametrize("given", ["has blanks", "x" * 129, ""])
def test_request_id_is_made_where_none_can_be_used(client, given) -> None:
    answer = client.get("/display_service/healthz", headers={"X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_every_answer_carries_the_security_headers(client) -> None:
    for path in ("/", "/adder_service", "/display_service/total", "/nowhere"):
        headers = client.get(path, headers={"Accept": "text/html"}).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control-")]
        assert "Set-Cookie" not in headers
        assert headers["Content-Type"] in ("text/html; charset=utf-8", "application/json")


class Lines(Log):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__("json")
        self.lines = []

    def _append(self, line):
        self.lines.append(line)


async def ask(app, *, accept="", problem_of=lambda error: None):
    """Give the status, the headers, the body and the lines of the log."""
    log = Lines()
    middleware = Middleware(
        app,
        log,
        problem_of=problem_of,
        error_page=lambda problem, path, request_id: f"<h1>{problem.title}</h1>".encode(),
        service_of=lambda path: "shop",
        hosts=Hosts(),
    )
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"accept", accept.encode())],
    }
    await middleware(scope, None, send)
    body = b"".join(message["body"] for message in sent if "body" in message)
    return sent[0]["status"], dict(sent[0]["headers"]), body, log.lines


def failing(error):
    async def app(scope, receive, send):
        raise error

    return app


async def test_an_internal_error_is_logged_and_not_shown() -> None:
    status, headers, body, lines = await ask(failing(KeyError("secret")))
    assert status == 500
    assert b"secret" not in body
    problem = json.loads(body)
    assert problem["detail"] == "internal server error; it has been logged"
    assert problem["request_id"].encode() == headers[b"x-request-id"]
    logged, request = lines
    assert (logged["event"], logged["request_id"]) == ("internal error", problem["request_id"])
    assert "KeyError: 'secret'" in logged["error"]
    assert (request.service, request.status, request.level) == ("shop", 500, "error")


async def test_the_application_says_what_its_errors_mean() -> None:
    full = Problem(503, "the shop is full", retry_after=1)
    status, headers, body, _ = await ask(failing(KeyError()), problem_of=lambda error: full)
    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert json.loads(body)["detail"] == "the shop is full"


async def test_people_get_a_page() -> None:
    status, headers, body, _ = await ask(failing(Problem(404, "gone")), accept="text/html,*/*")
    assert (status, body) == (404, b"<h1>There is nothing here</h1>")
    assert headers[b"content-type"].startswith(b"text/html")


async def test_an_answer_that_breaks_off_is_cut_short_and_logged() -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise Problem(408, "too slow")

    status, _, body, lines = await ask(app)
    assert (status, body) == (200, b"")
    assert (lines[0]["event"], lines[0]["reason"]) == ("answer cut short", "too slow")


@pytest.mark.parametrize("reason", ["too slow", None])
async def test_a_client_that_takes_nothing_is_logged_and_one_that_went_is_not(reason) -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise Disconnected(*filter(None, [reason]))

    *_, lines = await ask(app)
    reasons = [line["reason"] for line in lines[:-1] if line["event"] == "answer cut short"]
    assert reasons == ([reason] if reason else [])
