"""Hostile clients: what each sends, and an attack of many of them at once.

None ends by itself, but all are bounded: in number, by the block of their attack, and by a rest
before each comes again.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from faults.clients import ADD
from faults.httpclient import Address
from tally.web.request import MAX_BODY

# Before a client that was refused or cut off comes again: what is shown is a bound, and not how
# many refusals a second two processors can give.
_REST: Final = 0.5
_BYTE_PAUSE: Final = 0.05
# A service's longest patience is 30 s (STALL_SECONDS), and the machine may be busy.
_SEEN_SECONDS: Final = 60.0
# Who does not read takes so many bytes, in small segments (tcp(7), TCP_MAXSEG). By these Linux
# sizes the service's buffer, which would else hold megabytes of answers before the service waits.
_UNREAD_BUFFER: Final = 4096
_UNREAD_SEGMENT: Final = 536

_HOST: Final = b"Host: 127.0.0.1\r\n"
_JSON: Final = b"Content-Type: application/json\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
_ADD_HEAD: Final = b"POST %b HTTP/1.1\r\n%b%b" % (ADD.encode(), _HOST, _JSON)


@dataclass(frozen=True, slots=True)
class Hostile:
    """What one client sends: `opening`, and then `again` for ever, with a pause after each.

    It reads its first answer's status; only one that `reads` takes any more.
    """

    opening: bytes = b""
    again: bytes = b""
    pause: float = 0.0
    reads: bool = True


def _get(path: str) -> bytes:
    return b"GET /display_service%b HTTP/1.1\r\n%b" % (path.encode(), _HOST)


NOTHING: Final = Hostile()
TRAILERS: Final = Hostile(_ADD_HEAD + _CHUNKED + b"0\r\n", b"X-Trailer: more\r\n" * 1000)
ONE_BYTE_CHUNKS: Final = Hostile(_ADD_HEAD + _CHUNKED, b"1\r\n \r\n" * 1000)
EXTENSIONS: Final = Hostile(_ADD_HEAD + _CHUNKED, b"1;x=%b\r\n \r\n" % (b"y" * 3000) * 10)
SLOW_HEAD: Final = Hostile(_ADD_HEAD + b"X-Slow: ", b"x", _BYTE_PAUSE)
SLOW_BODY: Final = Hostile(_ADD_HEAD + b"Content-Length: %d\r\n\r\n" % MAX_BODY, b" ", _BYTE_PAUSE)
BODY_TO_EVENTS: Final = Hostile(_get("/events") + _CHUNKED, b"10000\r\n%b\r\n" % (b" " * 65536))
# Of the greatest body all but a byte: it is held until that comes, or for BODY_SECONDS.
ALMOST_A_BODY: Final = Hostile(
    _ADD_HEAD + b"Content-Length: %d\r\n\r\n" % MAX_BODY + b" " * (MAX_BODY - 1)
)
UNREAD_PAGES: Final = Hostile(again=(_get("") + b"\r\n") * 100, reads=False)
UNREAD_EVENTS: Final = Hostile(_get("/events") + b"\r\n", reads=False)
EXPORT: Final = Hostile(_get("/entries.csv") + b"Connection: close\r\n\r\n")
# One after the other, so that even a small ledger's fill the buffers.
UNREAD_EXPORTS: Final = Hostile(again=(_get("/entries.csv") + b"\r\n") * 100, reads=False)


class Attack:
    """Tells what the clients of an attack have seen."""

    def __init__(self) -> None:
        self.opened = 0
        self.answers: Counter[int] = Counter()
        """First answers, by their status."""
        self.cut_off = 0
        """Connections that the service ended, however much its client still had to send."""
        self._changed = asyncio.Condition()

    async def saw(self, condition: Callable[["Attack"], bool]) -> None:
        """Wait until the clients have seen this; raise TimeoutError if they never do."""
        async with asyncio.timeout(_SEEN_SECONDS), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def answered(self, status: int, count: int) -> None:
        """Wait for so many answers of a status; raise TimeoutError if they never come."""
        await self.saw(lambda seen: seen.answers[status] >= count)

    async def run(self, address: Address, hostile: Hostile) -> None:
        """Be one client, again and again."""
        while True:
            with suppress(ConnectionError):  # its service is just being started again
                await self._once(address, hostile)
            await asyncio.sleep(_REST)

    async def _once(self, address: Address, hostile: Hostile) -> None:
        reader, writer = await _connect(address, hostile)
        self.opened += 1
        sending = asyncio.create_task(_send(writer, hostile))
        try:
            await self._notify()
            status_line = await reader.readuntil(b"\r\n")
            self.answers[int(status_line.split()[1])] += 1
            await self._notify()
            while hostile.reads and await reader.read(65536):
                pass
            await sending
        except (ConnectionError, EOFError):
            pass  # cut off
        finally:
            sending.cancel()
            writer.transport.abort()
        self.cut_off += 1
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def attack(address: Address, hostile: Hostile, count: int) -> AsyncIterator[Attack]:
    """Let so many clients attack a service during the block."""
    seen = Attack()
    clients = [asyncio.create_task(seen.run(address, hostile)) for _ in range(count)]
    try:
        yield seen
    finally:
        for client in clients:
            client.cancel()
        await asyncio.wait(clients)
    for client in clients:
        if not client.cancelled():
            client.result()  # raises what ended it


async def _connect(
    address: Address, hostile: Hostile
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket()
    try:
        connection.setblocking(False)
        if not hostile.reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BUFFER)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _UNREAD_SEGMENT)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", address.port))
        return await asyncio.open_connection(sock=connection, limit=_UNREAD_BUFFER)
    except BaseException:
        connection.close()
        raise


async def _send(writer: asyncio.StreamWriter, hostile: Hostile) -> None:
    """Send until the service takes no more; who has nothing to send again is done at once.

    Who reads no further stays on, though.
    """
    writer.write(hostile.opening)
    await writer.drain()
    while hostile.again:
        await asyncio.sleep(hostile.pause)
        writer.write(hostile.again)
        await writer.drain()
    if not hostile.reads:
        await asyncio.get_running_loop().create_future()
