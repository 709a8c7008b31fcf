"""Composes services into one process, and runs it until a signal."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache, partial
from importlib.resources import files

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tally import __version__, pages
from tally.ledger.database import Database
from tally.ledger.failures import UnusableServer
from tally.services.adder import Adder
from tally.services.display import Display
from tally.services.errors import error_page, problem_of
from tally.services.reset import Resetter
from tally.services.separation import warn_unless_separated
from tally.services.service import NAMES, Service, service_of
from tally.settings import Settings
from tally.web import metrics
from tally.web.hosts import Hosts
from tally.web.log import Bridge, Log
from tally.web.middleware import Middleware
from tally.web.server import Server, listen, raise_file_limit, url_of

__all__ = ["NAMES", "StartError", "declared", "openapi", "serve"]


class StartError(Exception):
    """The services can't start; the message is one line that says what to do."""


def serve(
    database_urls: Mapping[str, str],
    settings: Settings,
    *,
    listening: Callable[[], None] = lambda: None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP.

    `database_urls` gives each service's, by its name. `listening` is called once ports are open
    and files read, and may give up the rights that this took; `ready` is called with the services'
    URL once requests are answered. Raises `StartError`.
    """
    log = Log(settings.log)
    Bridge(log).install()
    raise_file_limit()
    listener = _listen(settings)
    _serve_metrics(settings.metrics_port)
    pages.load()
    openapi()
    services = _compose(database_urls, settings, log)
    try:
        uvloop.run(_serve(services, settings, log, listener, listening=listening, ready=ready))
    finally:
        log.flush()


async def _serve(
    services: Sequence[Service],
    settings: Settings,
    log: Log,
    listener: socket.socket,
    *,
    listening: Callable[[], None],
    ready: Callable[[str], None],
) -> None:
    names = [service.name for service in services]
    app = _application(services, log, settings.hosts)
    fast_routes = {
        (method.encode(), path.encode()): app.fast_route(method, path, handle)
        for service in services
        for (method, path), handle in service.fast.items()
    }

    unusable: UnusableServer | None = None

    async def check_database() -> None:
        nonlocal unusable
        try:
            await warn_unless_separated(services, log)
        except UnusableServer as error:
            unusable = error
            log.write("error", "database unusable", reason=error.detail)
            server.should_exit = True
            for service in services:
                service.stopping()

    def stopping(signal: str) -> None:
        log.write("info", "stopping", signal=signal)
        checking.cancel()
        for service in services:
            service.stopping()

    url = url_of(listener)
    server = Server(
        app,
        fast_routes,
        max_connections=settings.max_connections,
        on_started=lambda: ready(url),
        on_signal=stopping,
    )
    listening()
    log.write("info", "start", services=names, address=url, version=__version__)
    checking = asyncio.create_task(check_database())
    await server.serve([listener])
    log.write("info", "stop", services=names)
    if unusable is not None:
        raise StartError(f"{unusable}: {unusable.detail}")


def _compose(database_urls: Mapping[str, str], settings: Settings, log: Log) -> list[Service]:
    kinds: dict[str, Callable[[Database, Settings], Service]] = {
        "adder": Adder,
        "display": Display,
        "reset": Resetter,
    }
    return [
        kinds[name](
            Database(
                url,
                timeout=settings.request_timeout,
                on_connection=partial(_note_connection, log, name),
            ),
            settings,
        )
        for name, url in database_urls.items()
    ]


def _note_connection(log: Log, service: str, connected: bool, reason: str) -> None:
    metrics.database_up.labels(service).set(connected)
    if connected:
        log.write("info", "database regained", service=service)
    else:
        log.write("warning", "database lost", service=service, reason=reason)


def _application(services: Sequence[Service], log: Log, hosts: Sequence[str]) -> Middleware:
    names = [service.name for service in services]
    routes = [route for service in services for route in service.routes()]
    if "display" in names:
        routes.append(Route("/openapi.json", _openapi))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for service in services:
                stack.push_async_callback(service.stop)
                await service.start()
            yield

    router = Starlette(routes=routes, lifespan=lifespan).router
    router.redirect_slashes = False
    return Middleware(
        router,
        log,
        problem_of=problem_of,
        error_page=error_page,
        hosts=Hosts(hosts),
        service_of=partial(service_of, default=names[0] if len(names) == 1 else "display"),
    )


async def _openapi(request: Request) -> Response:
    return Response(openapi(), media_type="application/json")


@cache
def openapi() -> bytes:
    """Read the HTTP contract."""
    return files("tally.services").joinpath("openapi.json").read_bytes()


def declared() -> set[tuple[str, str]]:
    """List every resource of the services, as (METHOD, path template)."""
    services = _compose(dict.fromkeys(NAMES, "postgresql:///"), Settings(), Log())
    return {
        (method, path)
        for service in services
        for path, endpoints in service.resources.items()
        for method in endpoints
    } | {("GET", "/openapi.json")}


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        return listen(host, port)
    except (OSError, UnicodeError) as error:  # the latter for what can be no host's name
        reason = getattr(error, "strerror", None) or "no such host"
        raise StartError(
            f"{host}:{port} can't be served ({reason}): stop what uses it or choose"
            f" another port, as in PORT={port % 65535 + 1} make run"
        ) from error


def _serve_metrics(port: int | None) -> None:
    if port is None:
        return
    try:
        metrics.serve(port)
    except OSError as error:
        raise StartError(
            f"the metrics port {port} can't be opened ({error.strerror}):"
            " set TALLY_METRICS_PORT to another"
        ) from error
