"""The outermost layer: request ids, security headers, errors, and a line in the log."""

import contextlib
import re
import secrets
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tally.web import metrics
from tally.web.exchange import Disconnected
from tally.web.fast_path import Answer, FastRequest, FastRoute, Handler
from tally.web.hosts import Hosts
from tally.web.log import Log
from tally.web.problem import Problem, problem_json, routing_problem
from tally.web.response import PageResponse

# Nothing from other hosts, nothing inline, no frames, no plug-ins.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SECURITY: Final = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not no-referrer: that makes browsers send "Origin: null" with forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NO_STORE: Final = (b"cache-control", b"no-store")
# RFC 6797: only over TLS, which ends before us. A year, as browsers' lists ask for.
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_PROXY_SCHEME: Final = b"x-forwarded-proto"
_CLOUDFRONT_SCHEME: Final = b"cloudfront-forwarded-proto"
_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
# Unique over all processes and restarts; drawing each at random costs more than parsing a request.
_PROCESS: Final = secrets.token_hex(8).encode()
_numbers: Final = count()
_CLIENT_ERROR: Final = 400
# What is refused for who asks and not for what, however the answer looks. The fast path leaves all
# of it to ASGI.
_REFUSALS: Final = {
    401: "authentication failed",
    403: "cross-site change refused",
    421: "unknown host refused",
}


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_FAST_LINES: Final = _lines([*_SECURITY, _NO_STORE])


class Middleware:
    """Wraps the router, and the handlers of the fast path."""

    def __init__(
        self,
        app: ASGIApp,
        log: Log,
        *,
        problem_of: Callable[[Exception], Problem | None],
        error_page: Callable[[Problem, str, str], bytes],
        service_of: Callable[[str], str],
        hosts: Hosts,
    ) -> None:
        """Take what only the application knows.

        `problem_of` says what an error of the application means for the client, None for an
        internal error; `error_page` writes a problem for people, from the request's path and id;
        `service_of` names the service of a path in the log.
        """
        self._app = app
        self._log = log
        self._problem_of = problem_of
        self._error_page = error_page
        self._service_of = service_of
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # makes the router raise what it would otherwise answer itself
        started = time.perf_counter()
        method, path = scope["method"], scope["path"]
        given = dict(scope["headers"])
        request_id = _request_id(given)
        status = 0
        problem: Problem | None = None

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *_SECURITY]
                headers.append((b"x-request-id", request_id))
                if _came_by_tls(given):
                    headers.append(_HSTS)
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message["headers"] = headers
            await send(message)

        try:
            self._refuse(scope, given.get(b"host"))
            # RFC 9110, 9.3.7: a server that is asked for itself, and not for a resource of its own.
            app = self._app if path != "*" else Response(status_code=204)
            await app(scope, receive, send_marked)
        except Disconnected as error:
            if error.args:
                self._log.write("warning", "answer cut short", reason=str(error))
        except Exception as error:
            problem = self._problem(error, request_id)
            if status:
                # The answer has begun: ending it short is all that can still tell the client.
                self._log.write("warning", "answer cut short", reason=problem.detail)
            else:
                accept = Headers(scope=scope).get("accept", "")
                response = self._response(problem, accept, path, request_id)
                # Who is gone meanwhile, or takes nothing, does not get it.
                with contextlib.suppress(Disconnected, Problem):
                    await response(scope, receive, send_marked)
        finally:
            # It holds this frame by its traceback, and the body that was refused: without a cycle
            # they are freed at once, and with one only when garbage is next looked for.
            problem = None
            route = getattr(scope.get("route"), "path", None)
            service = self._service_of(path)
            if status in _REFUSALS:
                self._log_refusal(status, scope.get("client"), request_id)
            self._record(service, method, route, status, started, request_id)

    def fast_route(self, method: str, path: str, handle: Handler) -> FastRoute:
        """Give the answers of a handler what every answer has."""
        service = self._service_of(path)

        def finish(request: FastRequest, outcome: Answer | Exception) -> None:
            request_id = _request_id(request.headers)
            if isinstance(outcome, Exception):
                outcome = self._refusal(outcome, request.headers, path, request_id)
            status, lines, body = outcome
            if _came_by_tls(request.headers):
                lines += _lines([_HSTS])
            request.write(
                status, b"%b%bx-request-id: %b\r\n" % (lines, _FAST_LINES, request_id), body
            )
            self._record(service, method, path, status, request.started, request_id)

        def handle_own(request: FastRequest) -> bool:
            return self._hosts.allows(request.headers[b"host"]) and handle(request)

        return FastRoute(handle_own, finish)

    def _refuse(self, scope: Scope, host: bytes | None) -> None:
        """Raise `Problem` for what could not be read, or came for a host that is not ours."""
        if "refusal" in scope:
            raise scope.pop("refusal")  # left there, it would hold itself
        if host is not None and not self._hosts.allows(host):
            raise Problem(
                421,
                f"Tally is not served under the name {host.decode('latin-1')!r}: if it should be,"
                " add it to TALLY_HOSTS",
                rule="host",
            )

    def _refusal(
        self, error: Exception, headers: dict[bytes, bytes], path: str, request_id: bytes
    ) -> Answer:
        accept = headers.get(b"accept", b"").decode("latin-1")
        response = self._response(self._problem(error, request_id), accept, path, request_id)
        named = [header for header in response.raw_headers if header[0] != b"content-length"]
        return response.status_code, _lines(named), bytes(response.body)

    def _response(self, problem: Problem, accept: str, path: str, request_id: bytes) -> Response:
        """Write a problem the way its reader prefers."""
        if "text/html" in accept:
            try:
                body = self._error_page(problem, path, request_id.decode())
                return PageResponse(body, problem.status, problem.headers)
            except Exception as error:
                self._log_internal_error(error, request_id)
        body = problem_json(problem, request_id.decode())
        return Response(body, problem.status, problem.headers, "application/problem+json")

    def _problem(self, error: Exception, request_id: bytes) -> Problem:
        if isinstance(error, Problem):
            return error
        if isinstance(error, HTTPException):
            return routing_problem(error)
        problem = self._problem_of(error)
        if problem is None:
            self._log_internal_error(error, request_id)
            problem = Problem(500, "internal server error; it has been logged")
        return problem

    def _log_refusal(self, status: int, client: tuple[str, int] | None, request_id: bytes) -> None:
        """Let whoever watches the log see who tries; behind a proxy the address is its own."""
        address = client[0] if client else None
        self._log.write(
            "warning", _REFUSALS[status], client=address, request_id=request_id.decode()
        )

    def _log_internal_error(self, error: Exception, request_id: bytes) -> None:
        import traceback  # noqa: PLC0415 - only internal errors need it

        trace = "".join(traceback.format_exception(error))
        self._log.write("error", "internal error", request_id=request_id.decode(), error=trace)

    def _record(  # noqa: PLR0917
        self,
        service: str,
        method: str,
        route: str | None,
        status: int,
        started: float,
        request_id: bytes,
    ) -> None:
        if status >= _CLIENT_ERROR:
            metrics.errors.labels(service, str(status)).inc()
        self._log.write_request(
            service=service,
            method=method,
            route=route,
            status=status,
            seconds=time.perf_counter() - started,
            request_id=request_id.decode(),
        )


def _came_by_tls(headers: dict[bytes, bytes]) -> bool:
    """Tell what the proxy that ends TLS says."""
    return headers.get(_PROXY_SCHEME) == b"https" or headers.get(_CLOUDFRONT_SCHEME) == b"https"


def _request_id(headers: dict[bytes, bytes]) -> bytes:
    """Take over the id that a client or the load balancer gave, or make one."""
    for name in (b"x-request-id", b"x-amzn-trace-id"):
        given = headers.get(name)
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
    return b"%b%016x" % (_PROCESS, next(_numbers))
