"""A part of a network between two programs, whose packets can be lost."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

# Tells by the first bytes of a connection whether it is meant.
Meant = Callable[[bytes], bool]
_PIECE_BYTES: Final = 64 << 10
_LOOK_SECONDS: Final = 0.02


class Link:
    """Passes TCP connections on to a loopback port, or falls silent, which neither side is told.

    What is sent into the silence comes late: TCP sends it again until it arrives.
    """

    def __init__(self, target: int) -> None:
        """`target` is the port to pass on to; nothing listens yet."""
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._silent: list[Meant] = []

    async def start(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def address(self) -> str:
        assert self._server is not None, "start the link first"  # noqa: S101
        return "{}:{}".format(*self._server.sockets[0].getsockname())

    async def close(self) -> None:
        """Stop listening, and cut everything."""
        if self._server is not None:
            self._server.close()
            for connection in tuple(self._connections):
                connection.cancel()
            await self._server.wait_closed()

    @contextmanager
    def silent(self, meant: Meant = lambda first: True) -> Iterator[None]:
        """Pass on nothing of the connections that are meant, open or new, for the block."""
        self._silent.append(meant)
        try:
            yield
        finally:
            self._silent.remove(meant)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._connections.add(task)
        writers = [writer]
        try:
            first = await reader.read(_PIECE_BYTES)
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(target_writer)
            pumps = [
                asyncio.create_task(self._pump(reader, target_writer, first, first)),
                asyncio.create_task(self._pump(target_reader, writer, first)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (ConnectionError, asyncio.CancelledError):
            pass  # either side is gone, or the run ends
        finally:
            self._connections.discard(task)
            for each in writers:
                each.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        first: bytes,
        piece: bytes = b"",
    ) -> None:
        piece = piece or await reader.read(_PIECE_BYTES)
        while piece:
            while any(meant(first) for meant in self._silent):  # noqa: ASYNC110 - rare
                await asyncio.sleep(_LOOK_SECONDS)
            writer.write(piece)
            await writer.drain()
            piece = await reader.read(_PIECE_BYTES)
