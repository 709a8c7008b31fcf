"""A fast path beside ASGI for the plainest requests.

ASGI costs a task, a scope and several coroutines a request, which is most of what a small request
costs. The fast path answers without them, with a single write. It takes only a request that
arrived whole and alone, and its handler may still leave that to ASGI.

A handler must be sure that no rule would refuse its request. To be sure in little time, two rules
are written twice: `read_plain` beside `read_values`, and `plainly_allows` beside the rules of
auth. Tests hold each to its careful twin.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

# A status, header lines that each end in CR LF, and a body.
Answer = tuple[int, bytes, bytes]
# Returns whether it will reply, exactly once; a handler that returns False has changed nothing.
Handler = Callable[["FastRequest"], bool]

JSON_LINES: Final = b"content-type: application/json\r\n"


class FastRoute(NamedTuple):
    """A resource on the fast path: its handler, and what writes and records each answer."""

    handle: Handler
    finish: Callable[["FastRequest", Answer | Exception], None]


# By method and target.
FastRoutes = Mapping[tuple[bytes, bytes], FastRoute]


class Connection(Protocol):
    """What a request needs of its connection."""

    def answer_fast(self, status: int, headers: bytes, body: bytes) -> None:
        """Write a whole answer, unless the client has gone away."""


class FastRequest:
    """A request on the fast path: its headers by lower-case name, and its whole body."""

    __slots__ = ("body", "connection", "headers", "route", "started")

    def __init__(
        self, connection: Connection, route: FastRoute, headers: dict[bytes, bytes], body: bytes
    ) -> None:
        self.connection = connection
        self.route = route
        self.headers = headers
        self.body = body
        self.started = time.perf_counter()

    def reply(self, outcome: Answer | Exception) -> None:
        """Answer, or refuse for the reason that the error says."""
        self.route.finish(self, outcome)

    def write(self, status: int, headers: bytes, body: bytes) -> None:
        self.connection.answer_fast(status, headers, body)
