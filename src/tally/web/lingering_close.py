"""Lingering close: closing a connection whose client still sends, so that it gets its answer.

A kernel that receives more for a closed connection resets it, and with a reset the client may
lose the answer. So only the sending side is closed at first, and what still comes is read and
thrown away, within limits: RFC 9112, section 9.6.
"""

import asyncio
from collections.abc import Callable, MutableSet
from typing import Any, Final

from tally.web.request import BODY_SECONDS, MAX_BODY

# Whoever sends as fast as the body of a good request must come gets to its end.
MAX_SECONDS: Final = BODY_SECONDS
# Room for a batch that is far too large because nobody split it; a client that has more than that
# to send, or never ends, is cut off.
MAX_BYTES: Final = 16 * MAX_BODY
# A service that stops waits for its connections, and has little time to spare for this.
MAX_SECONDS_WHEN_STOPPING: Final = 1.0


class Transport:
    """A connection's transport, closed as its client needs it; what uvicorn uses of one."""

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        connections: MutableSet[Any],
        is_arriving: Callable[[], bool],
    ) -> None:
        """Take uvicorn's set of open connections, and what tells if the client has more to send.

        `protocol` is told that its connection is lost once nothing can be answered any more.
        """
        self._transport = transport
        self._protocol = protocol
        self._connections = connections
        self._is_arriving = is_arriving
        self.seconds = MAX_SECONDS
        # The transport's own methods, so that a request costs no call more than without this.
        self.write: Callable[[bytes], None] = transport.write
        self.is_closing: Callable[[], bool] = transport.is_closing
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def close(self) -> None:
        """Close, at once if the client has no more to send."""
        if self._is_arriving():
            self.close_lingering()
        elif not self.is_closing():
            self._transport.close()

    def close_lingering(self) -> None:
        """Send what was written and nothing more; close when the client has ended, or must."""
        if self.is_closing():
            return
        self.write = lambda _: None
        self.is_closing = lambda: True
        _Discarding(self._transport, self._connections, self.seconds)
        # Not now: the caller may be in the middle of something.
        asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)


class _Discarding(asyncio.Protocol):
    """Reads on and throws away; to uvicorn it looks like one of its own connections."""

    def __init__(
        self, transport: asyncio.Transport, connections: MutableSet[Any], seconds: float
    ) -> None:
        self._transport = transport
        self._connections = connections
        self._bytes_left = MAX_BYTES
        connections.add(self)
        transport.set_protocol(self)
        transport.write_eof()
        transport.resume_reading()
        self._abort_in(seconds)

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._connections.discard(self)

    def shutdown(self) -> None:
        """uvicorn stops."""
        self._timer.cancel()
        self._abort_in(MAX_SECONDS_WHEN_STOPPING)

    def _abort_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)
