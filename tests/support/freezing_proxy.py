"""A TCP proxy that can freeze: it takes connections and bytes, passes nothing on, closes nothing.

So behaves a network that drops packets: no end of a connection is told, and new ones hang.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE_BYTES = 65536


class FreezingProxy:
    """Listens on a loopback port and passes on to another, in threads of its own."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self.thaw()
        for each in self._sockets:
            _end(each)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._upstream)
            self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # either side may go
            while piece := source.recv(_PIECE_BYTES):
                self._flowing.wait()
                sink.sendall(piece)
        self._flowing.wait()
        _end(source)
        _end(sink)


def _end(each: socket.socket) -> None:
    with suppress(OSError):  # it may have ended already
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def freezing_proxy(url: str) -> Iterator[FreezingProxy]:
    """In front of a server at an address such as http://127.0.0.1:8080."""
    host, _, port = url.removeprefix("http://").partition(":")
    proxy = FreezingProxy((host, int(port)))
    try:
        yield proxy
    finally:
        proxy.close()
