"""Lingering close: closing a connection whose client still sends, so that it gets its answer.

A kernel that receives more for a closed connection resets it, and with a reset the client may
lose the answer. So only the sending side is closed at first, and what still comes is read and
thrown away, within limits: RFC 9112, section 9.6.
"""

import asyncio
from collections.abc import MutableSet
from typing import Any, Final

from tally.web.request import BODY_SECONDS, MAX_BODY

# Whoever sends as fast as the body of a good request must come gets to its end.
MAX_SECONDS: Final = BODY_SECONDS
# Room for a batch that is far too large because nobody split it; a client that has more than that
# to send, or never ends, is cut off.
MAX_BYTES: Final = 16 * MAX_BODY
# A service that stops waits for its connections, and has little time to spare for this.
MAX_SECONDS_WHEN_STOPPING: Final = 1.0


class Lingering(asyncio.Protocol):
    """Takes a connection over; to uvicorn it looks like one of its own."""

    def __init__(
        self, transport: asyncio.Transport, connections: MutableSet[Any], seconds: float
    ) -> None:
        """Send what was written and nothing more; close when the client has ended, or must."""
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
