"""What every service is made of: its resources by path, its health, its static files."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tally import pages
from tally.ledger.database import Database

Endpoint = Callable[[Request], Awaitable[Response]]

_DAY: Final = 86_400


class JSONResponse(Response):
    """JSON, encoded by msgspec."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Encode."""
        return msgspec.json.encode(content)


class PageResponse(Response):
    """A page of HTML."""

    media_type = "text/html"


@dataclass
class Service:
    """One deployable service: its resources, and what to start and stop with it.

    `resources` maps a path to its endpoints by method; GET answers HEAD as well.
    """

    name: str
    database: Database
    resources: dict[str, dict[str, Endpoint]]
    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        """Add what every service has."""
        self.prefix = f"/{self.name}_service"
        self.resources |= {
            f"{self.prefix}/healthz": {"GET": _healthz},
            f"{self.prefix}/readyz": {"GET": self._readyz},
            f"{self.prefix}/static/{{name}}": {"GET": _static},
        }

    def routes(self) -> list[Route]:
        """One route for each path, so that a wrong method is answered with all allowed ones."""
        return [_route(path, endpoints) for path, endpoints in self.resources.items()]

    async def _readyz(self, request: Request) -> Response:
        await self.database.check()
        return JSONResponse({"status": "ready"})


def _route(path: str, endpoints: Mapping[str, Endpoint]) -> Route:
    async def dispatch(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await endpoints[method](request)

    return Route(path, dispatch, methods=list(endpoints))


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _static(request: Request) -> Response:
    file = pages.static_files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    # Links to these carry a digest of the content, so a changed file has another address.
    headers = {"Cache-Control": f"public, max-age={365 * _DAY}, immutable", "ETag": file.etag}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.content_type)
