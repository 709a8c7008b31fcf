"""A proxy between an adder and PostgreSQL that cuts connections at chosen moments of a commit.

An adder commits a batch by running one prepared statement that calls `tally.add_batch`, outside
any transaction of its own: PostgreSQL commits it when it reads the Sync message, and says so with
ReadyForQuery. Were it to open a transaction around that, COMMIT would do it, and whatever the adder
said before that would be said too early. The proxy reads both directions of the protocol (version
3) far enough to know these messages, so it can cut right before the one that commits a batch, while
PostgreSQL is at it, or after the commit.
"""

import asyncio
import enum
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

_PIECE_BYTES: Final = 64 << 10
# SSLRequest and GSSENCRequest: either is answered by one byte, and another first message follows.
_ENCRYPTION_REQUESTS: Final = frozenset({80877103, 80877104})
_PARSE, _BIND, _SYNC, _QUERY = b"P", b"B", b"S", b"Q"
_ERROR, _READY = b"E", b"Z"
_KEY: Final = b"K"  # BackendKeyData: the server's process
_IDLE: Final = b"I"  # ReadyForQuery's word for "in no transaction"
_BATCH: Final = b"add_batch"
_COMMIT: Final = b"COMMIT"


class Cut(enum.Enum):
    """When to lose the connection that carries a batch, or to act on its session."""

    BEFORE_COMMIT = "before commit"
    """PostgreSQL never sees what would commit the batch."""
    DURING_COMMIT = "during commit"
    """PostgreSQL has got it; the connection is lost at once, whatever comes of it."""
    AFTER_COMMIT = "after commit"
    """PostgreSQL has committed the batch; the adder is not told."""


# Acts on the server's process of a session; its connection is kept.
Act = Callable[[int], Awaitable[None]]


class Proxy:
    """Listens on a loopback TCP port and passes on to PostgreSQL's socket, or misbehaves."""

    def __init__(self, socket: Path) -> None:
        """`socket` is PostgreSQL's; nothing listens yet."""
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._sessions: set[_Session] = set()
        self._armed: tuple[Cut, asyncio.Future[None], Act | None] | None = None
        self._acting: set[asyncio.Future[None]] = set()
        self.delay = 0.0
        """Seconds by which each piece is late, each way."""
        self.refuse = False
        """Whether new connections are closed as soon as they come."""

    async def start(self, port: int = 0) -> None:
        """Listen; raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    @property
    def port(self) -> int:
        assert self._server is not None, "start the proxy first"  # noqa: S101
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Cut everything and stop listening."""
        if self._server is not None:
            self._server.close()
            self.cut_all()
            await self._server.wait_closed()

    def arm(self, cut: Cut, act: Act | None = None) -> asyncio.Future[None]:
        """Cut the next batch's connection so, or act; done when that has happened, or failed."""
        happened = asyncio.get_running_loop().create_future()
        self._armed = (cut, happened, act)
        return happened

    def disarm(self) -> None:
        self._armed = None

    @property
    def armed(self) -> Cut | None:
        """The cut that waits for its batch."""
        return None if self._armed is None else self._armed[0]

    async def act(self, session: "_Session") -> bool:
        """Do what is armed to a session; tell whether it goes on, as if another one was first."""
        if self._armed is None:
            return True
        _, happened, on_backend = self._armed
        self._armed = None
        if on_backend is None:
            session.cut()
            _tell(happened, None)
            return False
        # As a task of its own: what ends the session ends whoever passes on its messages, too.
        acting = asyncio.ensure_future(on_backend(session.backend))
        self._acting.add(acting)
        acting.add_done_callback(partial(self._acted, happened))
        await asyncio.wait([acting])
        return True

    def _acted(self, happened: asyncio.Future[None], acting: asyncio.Future[None]) -> None:
        self._acting.discard(acting)
        if not acting.cancelled():
            _tell(happened, acting.exception())

    def cut_all(self) -> None:
        for session in tuple(self._sessions):
            session.cut()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Lose every open connection and refuse new ones, for the block."""
        self.refuse = True
        self.cut_all()
        try:
            yield
        finally:
            self.refuse = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        try:
            upstream = await asyncio.open_unix_connection(str(self._socket))
        except OSError:  # PostgreSQL is down, which is for the adder to find out
            writer.transport.abort()
            return
        session = _Session(self, (reader, writer), upstream)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)


def _tell(happened: asyncio.Future[None], error: BaseException | None) -> None:
    if happened.done():  # whoever waited has given up
        return
    if error is None:
        happened.set_result(None)
    else:
        happened.set_exception(error)


class _Session:
    """One connection of an adder, and the one to PostgreSQL that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        for writer in (self._to_client, self._to_server):
            # `drain` then means that the kernel has it all, so that a cut takes nothing back.
            writer.transport.set_write_buffer_limits(0)
        self._in_startup = True
        self._encryption_asked = False
        self._adding: set[bytes] = set()  # statements that add a batch
        self._in_transaction = False
        self._uncommitted = False  # whether the open transaction has a batch
        self._cut: Cut | None = None
        self.backend = 0
        """The server's process."""

    async def run(self) -> None:
        """Pass on both ways until either side ends."""
        pumps = (
            asyncio.create_task(self._pass_requests()),
            asyncio.create_task(self._pass_replies()),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._to_client.close()
            self._to_server.close()
        for outcome in await asyncio.gather(*pumps, return_exceptions=True):
            # A lost connection is how sessions end here; anything else is a bug.
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                raise outcome

    def cut(self) -> None:
        """Lose both sides at once, without a goodbye."""
        self._to_client.transport.abort()
        self._to_server.transport.abort()

    async def _goes_on(self, moment: Cut) -> bool:
        """Do at this moment what is armed for it; tell whether the connection is still there."""
        if self._cut is not moment:
            return True
        self._cut = None
        return await self._proxy.act(self)

    async def _pass_requests(self) -> None:
        messages = _Messages()
        while piece := await self._from_client.read(_PIECE_BYTES):
            await asyncio.sleep(self._proxy.delay)
            messages.feed(piece)
            passed = bytearray()
            synced = False
            while message := messages.take(typed=not self._in_startup):
                if self._in_startup:
                    self._note_first(message)
                elif message.startswith(_PARSE):
                    self._note_statement(message)
                elif self._commits_a_batch(message):
                    self._cut = self._proxy.armed
                    if not await self._goes_on(Cut.BEFORE_COMMIT):
                        return
                synced |= message.startswith((_SYNC, _QUERY))
                passed += message
            self._to_server.write(bytes(passed))
            await self._to_server.drain()
            if synced and not await self._goes_on(Cut.DURING_COMMIT):
                return

    async def _pass_replies(self) -> None:
        messages = _Messages()
        passed = bytearray()
        while piece := await self._from_server.read(_PIECE_BYTES):
            await asyncio.sleep(self._proxy.delay)
            if self._encryption_asked:
                # PostgreSQL's local socket offers no encryption: one byte says so.
                self._encryption_asked = False
                self._to_client.write(piece)
                continue
            messages.feed(piece)
            failed = ready = False
            while message := messages.take(typed=True):
                failed |= message.startswith(_ERROR)
                if message.startswith(_KEY):
                    (self.backend,) = struct.unpack_from("!i", message, 5)
                if message.startswith(_READY):
                    ready = True
                    self._in_transaction = not message.endswith(_IDLE)
                    self._uncommitted &= self._in_transaction
                passed += message
            if failed:
                self._cut = None  # nothing was committed: the cut waits for a batch that is
            if self._cut is Cut.AFTER_COMMIT and not ready:
                continue  # kept from the adder until all of the answer has come
            if not await self._goes_on(Cut.AFTER_COMMIT):
                return
            self._to_client.write(bytes(passed))
            passed.clear()
            await self._to_client.drain()

    def _note_first(self, message: bytes) -> None:
        (code,) = struct.unpack_from("!i", message, 4)
        self._encryption_asked = code in _ENCRYPTION_REQUESTS
        self._in_startup = self._encryption_asked

    def _note_statement(self, message: bytes) -> None:
        name, query, _ = message[5:].split(b"\0", 2)
        if _BATCH in query:
            self._adding.add(name)
        else:
            self._adding.discard(name)  # the name now means another statement

    def _commits_a_batch(self, message: bytes) -> bool:
        if message.startswith(_BIND) and _bound(message) in self._adding:
            self._uncommitted = self._in_transaction
            return not self._in_transaction
        return self._uncommitted and message.startswith(_QUERY) and _COMMIT in message


class _Messages:
    """Cuts a stream into the protocol's messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> None:
        self._rest += piece

    def take(self, *, typed: bool) -> bytes:
        """Take the next whole message, or nothing; the first of a connection has no type byte."""
        start = 1 if typed else 0
        if len(self._rest) < start + 4:
            return b""
        (length,) = struct.unpack_from("!i", self._rest, start)  # counts itself, not the type
        end = start + length
        if len(self._rest) < end:
            return b""
        message = bytes(self._rest[:end])
        del self._rest[:end]
        return message


def _bound(message: bytes) -> bytes:
    """The statement that a Bind message names, after the portal."""
    return message[5:].split(b"\0", 2)[1]
