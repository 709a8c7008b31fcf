"""What every answer has: a request id, security headers, and a problem in place of an error."""

import json
import re
import time
from types import SimpleNamespace

import pytest
from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from tally.web import metrics
from tally.web.exchange import Disconnected
from tally.web.hosts import Hosts
from tally.web.middleware import Middleware
from tally.web.problem import Problem
from tests.support.http import line_of
from tests.support.web_server import Lines, serving
from tests.support.wire import Answer, read_answers


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


def made(app, *, problem_of=lambda error: None, error_page=None) -> tuple[Middleware, Lines]:
    log = Lines()
    middleware = Middleware(
        app,
        log,
        problem_of=problem_of,
        error_page=error_page
        or (lambda problem, path, request_id: f"<h1>{problem.title}</h1>".encode()),
        service_of=lambda path: "shop" if path.startswith("/") else "none",
        hosts=Hosts(),
    )
    return middleware, log


async def ask(app, *, accept="", **options):
    """Give the status, the headers, the body and the lines of the log."""
    middleware, log = made(app, **options)
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


# What an application answers or raises, and the status of that.
OUTCOMES = {
    "answer": ((201, b"content-type: application/json\r\n", b'{"id":1}'), 201),
    "invalid": (Problem(400, "wrong", rule="r", headers={"X-Own": "1"}), 400),
    "full": (Problem(503, "full", retry_after=1), 503),
    "route": (HTTPException(405, headers={"Allow": "POST, GET"}), 405),
    "known": (KeyError("known"), 409),
    "internal": (KeyError("internal"), 500),
}
# What else is asked with, the id of the answer if it is given, and whether TLS was used.
ASKED = {
    "plain": (b"", None, False),
    "id": (b"X-Request-Id: mine\r\n", "mine", False),
    "amazon-id": (b"X-Amzn-Trace-Id: theirs\r\n", "theirs", False),
    "ids": (b"X-Amzn-Trace-Id: theirs\r\nX-Request-Id: mine\r\n", "mine", False),
    "long-id": (b"X-Request-Id: %b\r\n" % (b"x" * 128), "x" * 128, False),
    "longer-id": (b"X-Request-Id: %b\r\n" % (b"x" * 129), None, False),
    "blank-id": (b"X-Request-Id: a b\r\nX-Amzn-Trace-Id: theirs\r\n", "theirs", False),
    "page": (b"Accept: text/html,*/*\r\n", None, False),
    "tls": (b"X-Forwarded-Proto: https\r\n", None, True),
    "cloudfront": (b"CloudFront-Forwarded-Proto: https\r\n", None, True),
    "no-tls": (b"X-Forwarded-Proto: http\r\n", None, False),
}


def known(error):
    return Problem(409, "known") if error.args == ("known",) else None


async def both_ways(outcome, headers: bytes) -> list[tuple[Answer, list[dict]]]:
    """Answer a request on the fast path and by ASGI; give each answer with its log."""

    async def app(scope, receive, send) -> None:
        scope["route"] = SimpleNamespace(path="/x")
        if isinstance(outcome, Exception):
            raise outcome
        status, lines, body = outcome
        own = [tuple(line.split(b": ")) for line in lines.split(b"\r\n")[:-1]]
        own.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": own})
        await send({"type": "http.response.body", "body": body})

    handled = []

    def handle(request) -> bool:
        handled.append(request)
        request.reply(outcome)
        return True

    middleware, log = made(app, problem_of=known)
    routes = {(b"POST", b"/x"): middleware.fast_route("POST", "/x", handle)}
    request = b"POST /x%b HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
    found = []
    async with serving(middleware, routes) as server:
        for query in (b"", b"?"):
            log.lines.clear()
            [answer] = read_answers(await server.ask(request % (query, headers)))
            found.append((answer, list(log.lines)))
    assert len(handled) == 1
    return found


@pytest.mark.parametrize(("headers", "given", "by_tls"), ASKED.values(), ids=ASKED)
@pytest.mark.parametrize(("outcome", "status"), OUTCOMES.values(), ids=OUTCOMES)
async def test_both_ways_answer_alike_and_are_logged_alike(
    outcome, status, headers, given, by_tls
) -> None:
    errors = metrics.errors.labels("shop", str(status))._value.get
    before = errors()
    both = await both_ways(outcome, headers)
    assert errors() == before + (2 if status >= 400 else 0)
    seen = []
    for answer, lines in both:
        request_id = answer.headers.pop("x-request-id")
        assert request_id == given or re.fullmatch("[0-9a-f]{32}", request_id)
        assert (given is None) == (request_id != given)
        assert [line["request_id"] for line in lines] == [request_id] * len(lines)
        if answer.headers["content-type"] == "application/problem+json":
            assert answer.json["request_id"] == request_id
        assert answer.headers.get("strict-transport-security") == (
            "max-age=31536000" if by_tls else None
        )
        assert answer.headers.pop("connection", None) is None
        assert 0 <= lines[-1]["duration_ms"] < 60_000
        assert (status == 500) == (lines[0]["event"] == "internal error")
        assert {name: lines[-1][name] for name in ("event", "method", "service", "route")} == {
            "event": "request",
            "method": "POST",
            "service": "shop",
            "route": "/x",
        }
        assert (lines[-1]["status"], lines[-1]["level"]) == (
            status,
            "error" if status >= 500 else "info",
        )
        assert len(lines) == (2 if status == 500 else 1)
        seen.append((answer.status, answer.headers, answer.body.replace(request_id.encode(), b"")))
    assert seen[0] == seen[1]
    assert seen[0][0] == status


async def test_a_host_that_is_not_ours_is_refused_on_both_ways() -> None:
    async def app(scope, receive, send) -> None:
        raise AssertionError

    middleware, log = made(app)
    route = middleware.fast_route("GET", "/x", lambda request: pytest.fail("not to be handled"))
    request = b"GET /x%b HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    async with serving(middleware, {(b"GET", b"/x"): route}) as server:
        for query in (b"", b"?"):
            log.lines.clear()
            [answer] = read_answers(await server.ask(request % query))
            assert (answer.status, answer.json["rule"]) == (421, "host")
            refused, logged = log.lines
            assert (refused["level"], refused["event"]) == ("warning", "unknown host refused")
            assert refused["client"] == "127.0.0.1"
            assert refused["request_id"] == logged["request_id"]
            assert logged["status"] == 421


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (401, "authentication failed"),
        (403, "cross-site change refused"),
        (404, None),
        (422, None),
    ],
)
async def test_who_is_refused_for_who_asks_is_a_warning(status, event) -> None:
    *_, lines = await ask(failing(Problem(status, "no")))
    assert [line["event"] for line in lines] == ([event] if event else []) + ["request"]
    if event:
        assert lines[0]["client"] is None


async def test_what_the_application_says_of_caching_stays() -> None:
    async def app(scope, receive, send) -> None:
        headers = [(b"cache-control", b"max-age=1"), (b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    _, headers, _, _ = await ask(app)
    assert headers[b"cache-control"] == b"max-age=1"
    assert headers[b"x-own"] == b"1"
    assert headers[b"x-frame-options"] == b"DENY"


async def test_a_page_of_an_error_that_fails_is_a_problem_and_logged() -> None:
    def broken(problem, path, request_id):
        raise KeyError("page")

    status, headers, body, lines = await ask(
        failing(Problem(404, "gone")), accept="text/html", error_page=broken
    )
    assert (status, headers[b"content-type"]) == (404, b"application/problem+json")
    assert json.loads(body)["detail"] == "gone"
    assert "KeyError: 'page'" in lines[0]["error"]


async def test_what_the_router_does_not_find_is_a_problem_too() -> None:
    middleware, log = made(Router([Route("/x", lambda request: None)]))
    async with serving(middleware) as server:
        for method, path, status in (("GET", "/y", 404), ("PUT", "/x", 405)):
            request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            [answer] = read_answers(await server.ask(request))
            assert (answer.status, answer.json["status"]) == (status, status)
    assert [(line["route"], line["status"]) for line in log.lines] == [(None, 404), ("/x", 405)]


async def test_the_server_itself_can_be_asked() -> None:
    """RFC 9110, 9.3.7."""
    middleware, _ = made(failing(AssertionError()))
    async with serving(middleware) as server:
        [answer] = read_answers(await server.ask(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert answer.status == 204


async def test_what_is_no_request_goes_to_the_application() -> None:
    scopes = []

    async def app(scope, receive, send) -> None:
        scopes.append((scope, receive, send))

    middleware, log = made(app)
    await middleware({"type": "lifespan"}, 1, 2)
    assert scopes == [({"type": "lifespan"}, 1, 2)]
    assert log.lines == []


@pytest.mark.parametrize("error", [Disconnected(), Problem(408, "too slow")])
async def test_who_is_gone_while_an_error_is_answered_is_no_error(error) -> None:
    middleware, log = made(failing(Problem(404, "gone")))

    async def send(message):
        raise error

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await middleware(scope, None, send)
    assert [line["event"] for line in log.lines] == ["request"]


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
    assert (request["service"], request["status"], request["level"]) == ("shop", 500, "error")


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
