"""The outermost layer: request ids, security headers, errors, and a line in the log."""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tally.web import metrics
from tally.web.fast_path import Lane, Reply
from tally.web.log import Log
from tally.web.problem import Problem, problem_of, respond

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
_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
# Unique over all processes and restarts; drawing each at random costs more than parsing a request.
_PROCESS: Final = secrets.token_hex(8).encode()
_numbers: Final = count()
_CLIENT_ERROR: Final = 400

# A status, header lines that each end in CR LF, and a body.
Answer = tuple[int, bytes, bytes]
# Gets headers, the body and what to call once with the answer or the error; returns whether it
# takes the request.
Taker = Callable[[dict[bytes, bytes], bytes, Callable[[Answer | Exception], None]], bool]


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_LANE_LINES: Final = _lines([*_SECURITY, _NO_STORE])


class Edge:
    """Wraps the services' router."""

    def __init__(
        self, app: ASGIApp, log: Log, *, service: str, fast: Mapping[tuple[str, str], ASGIApp]
    ) -> None:
        """`fast` are resources that skip the router, by method and path."""
        self._app = app
        self._log = log
        self._service = service
        self._fast = fast

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # makes the router raise what it would otherwise answer itself
        started = time.perf_counter()
        request_id = _request_id(scope["headers"])
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *_SECURITY]
                headers.append((b"x-request-id", request_id))
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message["headers"] = headers
            await send(message)

        app = self._fast.get((scope["method"], scope["path"]), self._app)
        try:
            await app(scope, receive, send_marked)
        except Exception as error:
            problem = self._problem(error, request_id)
            if status:
                # The answer has begun: ending it short is all that can still tell the client.
                self._log.write("warning", "answer cut short", reason=problem.detail)
            else:
                response = respond(
                    problem, Headers(scope=scope), _static_of(scope["path"]), request_id.decode()
                )
                await response(scope, receive, send_marked)
        finally:
            self._record(
                service=_service_of(scope["path"], self._service),
                method=scope["method"],
                route=self._route(scope),
                status=status,
                started=started,
                request_id=request_id,
            )

    def lane(self, method: str, path: str, take: Taker) -> Lane:
        """Give the answers of a lane what every answer has."""
        service = _service_of(path, self._service)

        def offer(headers: dict[bytes, bytes], body: bytes, reply: Reply) -> bool:
            started = time.perf_counter()
            request_id = _made_or_given(
                headers.get(b"x-request-id"), headers.get(b"x-amzn-trace-id")
            )

            def finish(outcome: Answer | Exception) -> None:
                if isinstance(outcome, Exception):
                    outcome = self._refusal(outcome, headers, path, request_id)
                status, lines, content = outcome
                reply(
                    status, b"%b%bx-request-id: %b\r\n" % (lines, _LANE_LINES, request_id), content
                )
                self._record(
                    service=service,
                    method=method,
                    route=path,
                    status=status,
                    started=started,
                    request_id=request_id,
                )

            return take(headers, body, finish)

        return offer

    def _refusal(
        self, error: Exception, headers: dict[bytes, bytes], path: str, request_id: bytes
    ) -> Answer:
        response = respond(
            self._problem(error, request_id),
            Headers(raw=list(headers.items())),
            _static_of(path),
            request_id.decode(),
        )
        named = [header for header in response.raw_headers if header[0] != b"content-length"]
        return response.status_code, _lines(named), bytes(response.body)

    def _record(
        self,
        *,
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

    def _problem(self, error: Exception, request_id: bytes) -> Problem:
        problem = problem_of(error)
        if problem is None:
            self._log_defect(error, request_id)
            problem = Problem(500, "this is a defect of the service; it has been logged")
        return problem

    def _route(self, scope: Scope) -> str | None:
        if (scope["method"], scope["path"]) in self._fast:
            path: str = scope["path"]
            return path
        return getattr(scope.get("route"), "path", None)

    def _log_defect(self, error: Exception, request_id: bytes) -> None:
        import traceback  # noqa: PLC0415 - only defects need it

        trace = "".join(traceback.format_exception(error))
        self._log.write("error", "defect", request_id=request_id.decode(), error=trace)


def _request_id(headers: list[tuple[bytes, bytes]]) -> bytes:
    found = dict(headers)
    return _made_or_given(found.get(b"x-request-id"), found.get(b"x-amzn-trace-id"))


def _made_or_given(*given: bytes | None) -> bytes:
    """Take over the id that a client or the load balancer gave, or make one."""
    for request_id in given:
        if request_id is not None and _REQUEST_ID.fullmatch(request_id):
            return request_id
    return b"%b%016x" % (_PROCESS, next(_numbers))


def _service_of(path: str, default: str) -> str:
    first = path[1:].partition("/")[0]
    name, found, rest = first.partition("_service")
    return name if found and not rest and name in ("adder", "display", "reset") else default


def _static_of(path: str) -> str:
    """The address of the static files that stand on the same service as a path."""
    return f"/{_service_of(path, 'display')}_service/static/"
