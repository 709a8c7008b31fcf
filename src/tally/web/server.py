"""uvicorn's server on a socket of its own: started, told to stop by a signal, and stopped."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from tally.web.fast_path import FastRoutes
from tally.web.protocol import HTTPProtocol

# Longer than a load balancer keeps an idle connection (AWS: 60 s), so that it closes first.
KEEP_ALIVE_SECONDS: Final = 75
# With a second to spare for closing, a service is gone within ten seconds of SIGTERM.
_GRACE_SECONDS: Final = 8
_BACKLOG: Final = 2048


class Server(uvicorn.Server):
    """Ends by our signals: exit status 0, and what would never end is ended at once."""

    def __init__(
        self,
        app: ASGIApp,
        fast_routes: FastRoutes,
        *,
        max_connections: int,
        on_started: Callable[[], None],
        on_signal: Callable[[str], None],
    ) -> None:
        """`on_started` is called once requests are answered, `on_signal` with its name."""
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(  # type: ignore[arg-type]
                    HTTPProtocol, fast_routes=fast_routes, max_connections=max_connections
                ),
                ws="none",
                lifespan="on",
                loop="none",
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self.config.load()  # else it imports modules only when it starts
        self._on_started = on_started
        self._on_signal = on_signal

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What was loaded to start with stays: looking through it for garbage again and again
            # would stop the loop for tens of milliseconds each time. Requests leave no cycles.
            gc.collect()
            gc.freeze()
            self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                loop.add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        if self.should_exit:
            if number == signal.SIGINT:
                self.force_exit = True
            return
        self.should_exit = True
        self._on_signal(signal.Signals(number).name)


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens; raise `OSError`."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    # Connections are taken only once the services are ready, but wait rather than fail.
    listener.listen(_BACKLOG)
    return listener


def url_of(listener: socket.socket) -> str:
    """Such as http://127.0.0.1:8080."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_file_limit() -> None:
    """Allow as many connections as the system does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
