"""A connection as asyncpg gives it: its calls, its errors, and how it gives up."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, Self

import asyncpg

from simulation.backend import Backend
from simulation.functions import Row
from simulation.prepared import Prepared

_LOST: Final = "connection was closed in the middle of operation"


class Connection:
    """Speaks to one backend over a network with delays, which may stop carrying anything."""

    def __init__(self, backend: Backend, delay: Callable[[], float]) -> None:
        self._backend = backend
        self._transport = SimpleNamespace(get_extra_info=lambda name: None)
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._silent = False
        self._reply: asyncio.Future[list[Row]] | None = None
        self._cancelling: asyncio.TimerHandle | None = None
        self._listeners: list[Callable[[Any, Any], None]] = []
        backend.warn = self._note_warning
        backend.lost = self._note_lost

    # What asyncpg offers

    async def fetch(self, query: str, *arguments: Any, timeout: float | None = None) -> list[Row]:  # noqa: ASYNC109 - asyncpg's own
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")
        if self._reply is not None:
            raise asyncpg.InterfaceError("another operation is in progress")
        reply = self._reply = self._loop.create_future()
        timer = None
        if timeout is not None:
            timer = self._loop.call_later(timeout, self._time_out)
        self._loop.call_later(self._delay(), self._arrive, reply, query, arguments)
        try:
            return await reply
        except asyncio.CancelledError:
            self._cancel_soon()
            raise
        finally:
            self._reply = None
            if timer is not None:
                timer.cancel()

    async def fetchrow(
        self,
        query: str,
        *arguments: Any,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Row | None:
        rows = await self.fetch(query, *arguments, timeout=timeout)
        return rows[0] if rows else None

    async def fetchval(self, query: str, *arguments: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        row = await self.fetchrow(query, *arguments, timeout=timeout)
        return None if row is None else next(iter(row.values()))

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self.fetch(query, *arguments, timeout=timeout)

    def get_server_pid(self) -> int:
        return self._backend.pid

    def is_closed(self) -> bool:
        return self._closed

    def terminate(self) -> None:
        """Close, without a word to a backend that is busy: a request to cancel is dropped."""
        if self._closed:
            return
        self._closed = True
        if self._cancelling is not None:
            self._cancelling.cancel()
        self._fail(asyncpg.ConnectionDoesNotExistError(_LOST))
        if not self._silent:
            self._loop.call_later(self._delay(), self._backend.client_leaves)

    def add_log_listener(self, listener: Callable[[Any, Any], None]) -> None:
        self._listeners.append(listener)

    def transaction(self, **_: object) -> "_Block":
        return _Block(self)

    async def prepare(self, query: str, *, name: str | None = None) -> Prepared:
        return Prepared(self, query)

    async def set_type_codec(self, *arguments: object, **options: object) -> None:
        pass

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Say farewell, and close without waiting for an answer."""
        self.terminate()

    # What the network does

    def fall_silent(self) -> None:
        """Carry nothing any more, and tell neither side."""
        self._silent = self._backend.cut_off = True

    def reset(self) -> None:
        """Break, so that both sides see it."""
        if not self._silent:
            self._backend.client_leaves()
            self._note_lost()

    def _arrive(
        self, reply: asyncio.Future[list[Row]], query: str, arguments: tuple[Any, ...]
    ) -> None:
        backend = self._backend
        if self._silent or self._closed or not backend.alive:
            return
        backend.query = query
        backend.server.trace(backend.user, query, arguments)
        backend.server.reached(backend, "request")
        if self._silent or self._closed or not backend.alive:
            return
        backend.busy = self._loop.create_task(self._serve(reply, query, arguments))

    async def _serve(
        self, reply: asyncio.Future[list[Row]], query: str, arguments: tuple[Any, ...]
    ) -> None:
        backend = self._backend
        try:
            rows = await backend.run(query, arguments)
        except Exception as error:
            outcome: list[Row] | Exception = error
        else:
            outcome = rows
        finally:
            backend.busy = None
        if not backend.alive:
            return
        if backend.client_left:
            backend.end()
            return
        backend.server.reached(backend, "answer")
        self._loop.call_later(self._delay(), self._answer, reply, outcome)

    def _answer(self, reply: asyncio.Future[list[Row]], outcome: list[Row] | Exception) -> None:
        if self._silent or self._closed or reply.done():
            return
        if isinstance(outcome, Exception):
            reply.set_exception(outcome)
        else:
            reply.set_result(outcome)

    # How it ends

    def _time_out(self) -> None:
        self._cancel_soon()
        self._fail(TimeoutError())

    def _cancel_soon(self) -> None:
        """Ask the server to cancel, on a connection that must first be made."""
        if not self._closed:
            self._cancelling = self._loop.call_later(self._delay() * 2, self._cancel)

    def _cancel(self) -> None:
        if not self._silent and self._backend.alive:
            self._backend.cancel()

    def _note_warning(self, source: str) -> None:
        if self._silent or self._closed:
            return
        for listener in self._listeners:
            listener(self, SimpleNamespace(server_source_function=source))

    def _note_lost(self) -> None:
        if self._silent or self._closed:
            return
        self._closed = True
        self._fail(asyncpg.ConnectionDoesNotExistError(_LOST))

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


class _Block:
    """A transaction, or a savepoint of none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        await (self.commit() if kind is None else self.rollback())

    async def start(self) -> None:
        await self._connection.execute("BEGIN;")

    async def commit(self) -> None:
        await self._connection.execute("COMMIT;")

    async def rollback(self) -> None:
        await self._connection.execute("ROLLBACK;")
