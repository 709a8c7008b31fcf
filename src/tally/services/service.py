"""What every service is made of: its resources by path, its health, its static files."""

import re
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tally import pages, representation
from tally.ledger.database import Database, Unavailable
from tally.ledger.privileges import require
from tally.ledger.reader import Total, read_total
from tally.web.compression import accepts_gzip
from tally.web.fast_path import Handler
from tally.web.response import JSONResponse

# As many digits as always fit PostgreSQL's bigint.
ID: Final = re.compile("[0-9]{1,18}")


class _Id(Convertor[int]):
    """An id in a path; others are not found."""

    regex = ID.pattern

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _Id())

Endpoint = Callable[[Request], Awaitable[Response]]

NAMES: Final = ("adder", "display", "reset")

_DAY: Final = 86_400


def path_of(service: str) -> str:
    """Such as /adder_service."""
    return f"/{service}_service"


def static_of(service: str) -> str:
    """Such as /adder_service/static/."""
    return f"{path_of(service)}/static/"


def service_of(path: str, *, default: str) -> str:
    """Name the service that a path belongs to."""
    first = path[1:].partition("/")[0]
    name, found, rest = first.partition("_service")
    return name if found and not rest and name in NAMES else default


async def total_or_none(read: Callable[[], Awaitable[Total]]) -> representation.Shown | None:
    """Read a total for a page; None while the database is away, which the pages say plainly."""
    try:
        return representation.total(await read())
    except Unavailable:
        return None


class Service:
    """One deployable service.

    `resources` maps a path to its endpoints by method, and GET answers HEAD as well; `fast` maps
    a method and a path to a handler that serves the plainest of their requests.
    """

    name: ClassVar[str]

    def __init__(self, database: Database, resources: dict[str, dict[str, Endpoint]]) -> None:
        """Add to the resources what every service has."""
        self.database = database
        path = path_of(self.name)
        self.fast: dict[tuple[str, str], Handler] = {}
        self.resources = resources | {
            f"{path}/healthz": {"GET": _healthz},
            f"{path}/readyz": {"GET": self._readyz},
            f"{path}/static/{{name}}": {"GET": _static},
        }

    async def start(self) -> None:
        """Begin what runs between requests."""

    def stopping(self) -> None:
        """End what would never end by itself: the process was told to stop."""

    async def stop(self) -> None:
        await self.database.close()

    def routes(self) -> list[Route]:
        """One route for each path, so that a wrong method is answered with all allowed ones."""
        return [
            Route(path, _Resource(endpoints), methods=list(endpoints))
            for path, endpoints in self.resources.items()
        ]

    async def _readyz(self, request: Request) -> Response:
        await self.database.check()
        await self.database.run(lambda connection: require(connection, f"tally_{self.name}"))
        await self.database.run(read_total, autocommit=True)
        return JSONResponse({"status": "ready"})


class _Resource:
    """Chooses the endpoint; Starlette takes an instance for ASGI, and wraps nothing around it."""

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        response = await self._endpoints[method](Request(scope, receive, send))
        await response(scope, receive, send)


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _static(request: Request) -> Response:
    file = pages.static_files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    # Only this address names this content for good: another `v` is another release's, which a
    # page may ask for during a deployment, and gets what is here for now.
    right = request.scope["query_string"] == b"v=%b" % file.version.encode()
    kept = f"public, max-age={365 * _DAY}, immutable" if right else "no-cache"
    body, etag, headers = file.body, file.etag, {"Cache-Control": kept, "Vary": "Accept-Encoding"}
    if accepts_gzip(request.scope["headers"]):
        # Another representation, so another tag (RFC 9110, 8.8.3).
        body, etag = file.gzipped, f'"{file.version}-gzip"'
        headers["Content-Encoding"] = "gzip"
    headers["ETag"] = etag
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=file.content_type)
