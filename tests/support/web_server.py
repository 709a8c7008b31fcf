"""The server of `tally.web` in the test's own process, with an application of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from tally.web.fast_path import FastRoutes
from tally.web.hosts import Hosts
from tally.web.log import Log
from tally.web.middleware import Middleware
from tally.web.protocol import HTTPProtocol
from tests.support.postgres import PATIENCE

KEEP_ALIVE = 10_000


@dataclass(frozen=True)
class WebServer:
    """`state` is what uvicorn knows of its connections."""

    address: tuple[str, int]
    state: ServerState

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)

    async def ask(self, *pieces: bytes, half_close: bool = True) -> bytes:
        """Send each piece by itself; return all that came until the connection was closed."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await self.settle()
        if half_close:
            writer.write_eof()
        received = bytearray()
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                while part := await reader.read(65536):
                    received += part
        writer.close()
        return bytes(received)

    async def settle(self) -> None:
        """Let what was sent arrive, and be dealt with."""
        for _ in range(20):
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    app: ASGIApp, fast_routes: FastRoutes | None = None, *, max_connections: int = 100
) -> AsyncIterator[WebServer]:
    """Serve an application."""
    config = uvicorn.Config(app, lifespan="off", timeout_keep_alive=KEEP_ALIVE)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"today")]

    def protocol() -> HTTPProtocol:
        return HTTPProtocol(
            config, state, {}, fast_routes=fast_routes or {}, max_connections=max_connections
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    yield WebServer(server.sockets[0].getsockname(), state)
    server.close()
    for connection in list(state.connections):
        connection._transport.abort()  # type: ignore[attr-defined]


class Lines(Log):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__("json")
        self.lines: list[dict[str, Any]] = []

    def _append(self, line: object) -> None:
        self.lines.append(msgspec.to_builtins(line))


def with_problems(app: ASGIApp, log: Log | None = None) -> Middleware:
    """Answer errors as the services do."""
    return Middleware(
        app,
        log or Log(),
        problem_of=lambda error: None,
        error_page=lambda problem, path, request_id: b"",
        service_of=lambda path: "display",
        hosts=Hosts(),
    )


def in_pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
