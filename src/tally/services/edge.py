"""The outermost layer: request ids, security headers, errors, and a line in the log."""

import re
import time
import uuid
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tally.services import metrics
from tally.services.log import Log
from tally.services.problem import Problem, problem_of, respond

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
_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400


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
            problem = problem_of(error)
            if problem is None:
                self._log_defect(error, request_id)
                problem = Problem(500, "this is a defect of the service; it has been logged")
            if status:
                # The answer has begun: ending it short is all that can still tell the client.
                self._log.write("warning", "answer cut short", reason=problem.detail)
            else:
                response = respond(
                    problem, Headers(scope=scope), _static_of(scope["path"]), request_id.decode()
                )
                await response(scope, receive, send_marked)
        finally:
            self._record(scope, status, started, request_id)

    def _record(self, scope: Scope, status: int, started: float, request_id: bytes) -> None:
        service = _service_of(scope["path"], self._service)
        if status >= _CLIENT_ERROR:
            metrics.errors.labels(service, str(status)).inc()
        route = scope.get("route")
        self._log.write(
            "error" if status >= _SERVER_ERROR else "info",
            "request",
            service=service,
            method=scope["method"],
            route=scope["path"]
            if (scope["method"], scope["path"]) in self._fast
            else getattr(route, "path", None),
            status=status,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            request_id=request_id.decode(),
        )

    def _log_defect(self, error: Exception, request_id: bytes) -> None:
        import traceback  # noqa: PLC0415 - only defects need it

        trace = "".join(traceback.format_exception(error))
        self._log.write("error", "defect", request_id=request_id.decode(), error=trace)


def _request_id(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Take over the id that a client or the load balancer gave, or make one."""
    for wanted in (b"x-request-id", b"x-amzn-trace-id"):
        for name, value in headers:
            if name == wanted and _REQUEST_ID.fullmatch(value):
                return value
    return uuid.uuid4().hex.encode()


def _service_of(path: str, default: str) -> str:
    first = path[1:].partition("/")[0]
    name, found, rest = first.partition("_service")
    return name if found and not rest and name in ("adder", "display", "reset") else default


def _static_of(path: str) -> str:
    """The address of the static files that stand on the same service as a path."""
    return f"/{_service_of(path, 'display')}_service/static/"
