"""Clients that break off: each opens its own connections and records what it sent."""

import asyncio
import random
import resource
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from faults.clients import ADD, Addition, Additions, described
from faults.history import Attempt
from faults.httpclient import Address, encode
from faults.recorder import Recorder

# Besides the idle connections: the clients' own, files, pipes.
_RESERVED_DESCRIPTORS: Final = 500
# Opened at once, well within a service's backlog of 2048, and the pause between two such lots.
_LOT: Final = 100
_LOT_PAUSE: Final = 0.02
_OPEN_SECONDS: Final = 10.0


class Misbehaving:
    """A client that breaks its adds off."""

    def __init__(
        self,
        number: int,
        recorder: Recorder,
        rng: random.Random,
        additions: Additions,
        adders: Sequence[Address],
    ) -> None:
        self._number = number
        self._recorder = recorder
        self._rng = rng
        self._additions = additions
        self._adders = adders

    async def hang_up(self, count: int) -> None:
        """Send `count` adds and close each connection without waiting for the answer."""
        for _ in range(count):
            addition, adder = self._additions.new(), self._rng.choice(self._adders)
            sent = time.monotonic()
            try:
                writer = await _connect(adder)
            except OSError as error:
                self._record(addition, adder, sent, str(error), never_sent=True)
                continue
            writer.write(_encoded(addition))
            # At once, early in the work on it, or about when it is committed.
            await asyncio.sleep(self._rng.choice((0, 0.001, 0.005)))
            if self._rng.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()
            self._record(addition, adder, sent, "the client hung up", never_sent=False)
            if addition.key is not None:
                self._additions.given_up.append(addition)

    @asynccontextmanager
    async def half_bodies(self, count: int) -> AsyncIterator[None]:
        """Begin `count` adds, send half of each body, and hang up after the block.

        Nothing may be stored.
        """
        opened: list[asyncio.StreamWriter] = []
        for _ in range(count):
            addition, adder = self._additions.new(), self._rng.choice(self._adders)
            sent = time.monotonic()
            with suppress(OSError):  # then not even half of it was sent
                writer = await _connect(adder)
                writer.write(_encoded(addition)[: -len(addition.body) // 2])
                opened.append(writer)
            self._record(addition, adder, sent, "the client sent half a body", never_sent=True)
        try:
            yield
        finally:
            for writer in opened:
                writer.transport.abort()

    def _record(
        self, addition: Addition, adder: Address, sent: float, error: str, *, never_sent: bool
    ) -> None:
        self._recorder.record(
            Attempt(
                client=self._number,
                service=adder.name,
                sent=sent,
                ended=time.monotonic(),
                **described(addition),
                error=error,
                never_sent=never_sent,
            )
        )


async def _connect(adder: Address) -> asyncio.StreamWriter:
    async with asyncio.timeout(_OPEN_SECONDS):
        _, writer = await asyncio.open_connection("127.0.0.1", adder.port)
    return writer


def _encoded(addition: Addition) -> bytes:
    return encode("POST", ADD, addition.body, addition.key)


@asynccontextmanager
async def idle(addresses: Sequence[Address], count: int) -> AsyncIterator[int]:
    """Hold up to `count` connections that send nothing for the block; give how many."""
    count = min(count, raise_descriptor_limit() - _RESERVED_DESCRIPTORS)
    opened: list[socket.socket] = []
    try:
        for first in range(0, count, _LOT):
            lot = range(first, min(first + _LOT, count))
            opened += filter(
                None,
                await asyncio.gather(
                    *(_open_idle(addresses[place % len(addresses)]) for place in lot)
                ),
            )
            await asyncio.sleep(_LOT_PAUSE)
        yield len(opened)
    finally:
        for connection in opened:
            connection.close()


async def _open_idle(address: Address) -> socket.socket | None:
    connection = socket.socket()
    connection.setblocking(False)
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, ("127.0.0.1", address.port))
    except OSError:  # counted as not opened
        connection.close()
        return None
    return connection


def raise_descriptor_limit() -> int:
    """Allow this process as many open files as the system does; return how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
