"""Runs services in one process until a signal, then answers what is under way and stops."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Final

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tally import __version__
from tally.ledger.database import Database
from tally.services.adder import Adder
from tally.services.display import Display
from tally.services.reset import Resetter
from tally.services.service import Service
from tally.settings import Settings
from tally.web import metrics
from tally.web.log import Bridge, Log
from tally.web.middleware import Edge, Taker
from tally.web.protocol import LimitedProtocol

NAMES: Final = ("adder", "display", "reset")

# Longer than a load balancer keeps an idle connection (AWS: 60 s), so that it closes first.
_KEEP_ALIVE_SECONDS: Final = 75
# With a second to spare for closing, a service is gone within ten seconds of SIGTERM.
_GRACE_SECONDS: Final = 8
_BACKLOG: Final = 2048


class StartError(Exception):
    """The services can't start; the message is one line that says what to do."""


@dataclass
class _Parts:
    """What is to be served, gathered from the services."""

    services: list[Service] = field(default_factory=list)
    fast: dict[tuple[str, str], ASGIApp] = field(default_factory=dict)
    lanes: dict[tuple[str, str], Taker] = field(default_factory=dict)
    on_signal: list[Callable[[], None]] = field(default_factory=list)


def serve(
    names: Sequence[str],
    settings: Settings,
    url_of: Callable[[str], str],
    *,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    `url_of` gives each service's database address by its role; `ready` is called with the
    address served once requests are answered. Raises `StartError`.
    """
    log = Log(settings.log)
    Bridge(log).install()
    _raise_file_limit()
    listener = _listen(settings.host, settings.port)
    if settings.metrics_port is not None:
        try:
            metrics.serve(settings.metrics_port)
        except OSError as error:
            raise StartError(
                f"the metrics port {settings.metrics_port} can't be opened ({error.strerror}):"
                " set TALLY_METRICS_PORT to another"
            ) from error
    try:
        uvloop.run(_serve(names, settings, url_of, log, listener, ready))
    finally:
        log.flush()


async def _serve(  # noqa: PLR0917
    names: Sequence[str],
    settings: Settings,
    url_of: Callable[[str], str],
    log: Log,
    listener: socket.socket,
    ready: Callable[[str], None],
) -> None:
    parts = _gather(names, settings, url_of, log)
    app = _application(parts, names, log)
    lanes = {
        (method.encode(), path.encode()): app.lane(method, path, take)
        for (method, path), take in parts.lanes.items()
    }
    config = uvicorn.Config(
        app,
        http=partial(LimitedProtocol, lanes=lanes),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config, parts.on_signal, log)
    address = _address(listener)
    server.on_started = lambda: ready(address)
    log.write("info", "start", services=list(names), address=address, version=__version__)
    await server.serve([listener])
    log.write("info", "stop", services=list(names))


def _gather(
    names: Sequence[str], settings: Settings, url_of: Callable[[str], str], log: Log
) -> _Parts:
    parts = _Parts()
    for name in names:
        database = Database(
            url_of(f"tally_{name}"),
            timeout=settings.request_timeout,
            on_connection=partial(_note_connection, log, name),
        )
        if name == "adder":
            adder = Adder(database, settings)
            parts.services.append(adder.service())
            parts.fast |= adder.fast()
            parts.lanes |= adder.lanes()
        elif name == "display":
            display = Display(database, settings)
            parts.services.append(display.service())
            parts.lanes |= display.lanes()
            parts.on_signal.append(display.events.end_streams)
        else:
            parts.services.append(Resetter(database, settings).service())
    return parts


def _note_connection(log: Log, service: str, connected: bool, reason: str) -> None:
    metrics.database_up.labels(service).set(connected)
    if connected:
        log.write("info", "database regained", service=service)
    else:
        log.write("warning", "database lost", service=service, reason=reason)


def _application(parts: _Parts, names: Sequence[str], log: Log) -> Edge:
    routes = [route for service in parts.services for route in service.routes()]
    if "display" in names:
        routes.append(Route("/openapi.json", _openapi))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for service in parts.services:
                stack.push_async_callback(service.stop)
                await service.start()
            yield

    router = Starlette(routes=routes, lifespan=lifespan)
    router.router.redirect_slashes = False
    return Edge(
        router.router, log, service=names[0] if len(names) == 1 else "display", fast=parts.fast
    )


async def _openapi(request: Request) -> Response:
    return Response(openapi(), media_type="application/json")


def openapi() -> bytes:
    """Read the HTTP contract."""
    return files("tally.services").joinpath("openapi.json").read_bytes()


class _Server(uvicorn.Server):
    """uvicorn's server, ended by our signals: exit status 0, and streams ended at once."""

    def __init__(
        self, config: uvicorn.Config, on_signal: Sequence[Callable[[], None]], log: Log
    ) -> None:
        super().__init__(config)
        self._on_signal = on_signal
        self._log = log
        self.on_started: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What was loaded to start with stays: looking through it for garbage again and again
            # would stop the loop for tens of milliseconds each time. Requests leave no cycles.
            gc.collect()
            gc.freeze()
            self.on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        if self.should_exit:
            if number == signal.SIGINT:
                self.force_exit = True
            return
        self._log.write("info", "stopping", signal=signal.Signals(number).name)
        self.should_exit = True
        for stop in self._on_signal:
            stop()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Connections are taken only once the services are ready, but wait rather than fail.
        listener.listen(_BACKLOG)
    except OSError as error:
        raise StartError(
            f"{host}:{port} can't be served ({error.strerror}): stop what uses it or choose"
            f" another port, as in PORT={port % 65535 + 1} make run"
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _raise_file_limit() -> None:
    """Allow as many connections as the system does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def declared() -> set[tuple[str, str]]:
    """List every resource of the services, as (METHOD, path template)."""
    parts = _gather(NAMES, Settings(), lambda role: "postgresql:///", Log())
    return {
        (method, path)
        for service in parts.services
        for path, endpoints in service.resources.items()
        for method in endpoints
    } | {("GET", "/openapi.json")}
