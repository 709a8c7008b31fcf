"""Group commit: all requests that wait share one transaction, and each gets its own answer.

While one transaction commits, the next batch gathers. A durable add then costs a share of one
commit, instead of one commit each in a queue for the total's row.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import asyncpg

from tally.amount import Amount
from tally.ledger.add import Added, Finish, Key, KeyReused, QueueFull, Request, SumOutOfRange
from tally.ledger.database import GRACE, Database, pauses_between_tries
from tally.ledger.failures import Unavailable, is_connection_loss, refusal, was_undone
from tally.ledger.queue import Queue
from tally.ledger.replay import replay
from tally.ledger.schema import array_literal, from_numeric

__all__ = ["MAX_BATCH_VALUES", "Added", "Key", "KeyReused", "QueueFull", "SumOutOfRange", "Writer"]

MAX_BATCH_VALUES: Final = 10_000
# Seconds between two looks for requests that have waited too long.
_EXPIRY_TICK: Final = 0.1

_ADD: Final = "SELECT * FROM tally.add_batch($1, $2, $3, $4, $5, $6, $7)"
_SETTLE: Final = "SELECT * FROM tally.settle_batch($1, $2)"
_REGISTER: Final = "SELECT tally.register_writer($1)"
_FREE: Final = "SELECT tally.free_total()"
# How long a batch waits for the total before it asks who keeps it: well within a request's time.
_LOCK_TIMEOUT: Final = "1s"
# What PostgreSQL names when a key was answered before.
_KEYS: Final = "answer_pkey"

_log = logging.getLogger(__name__)


class Writer:
    """The one that adds: a bounded queue, and one task that commits what waits in it."""

    def __init__(
        self,
        database: Database,
        *,
        queue_limit: int,
        on_commit: Callable[[int, int, float], None] = lambda requests, values, seconds: None,
    ) -> None:
        """`queue_limit` is in values; `on_commit` gets requests, values and seconds."""
        self._database = database
        self._on_commit = on_commit
        self._queue = Queue(queue_limit)
        self._batch: list[Request] = []
        self._batch_sent = False
        self._sent_at: float
        self._one_by_one: bool
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection: Any = None
        self._closed = False
        self._id = uuid.uuid4()
        self._batch_number = 0
        self._pauses = pauses_between_tries(database.timeout)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def queued_values(self) -> int:
        return self._queue.values

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._expire())]

    async def close(self, grace: float) -> None:
        """Commit and answer all that waits, for at most `grace` seconds, then stop.

        What is left then is answered `Unavailable`, as is whatever comes later.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()
        self._closed = True
        self._give_up(float("inf"))
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def add(self, values: Sequence[Amount], key: Key | None = None) -> Added:
        """Add values, all or none, and return once they are durable.

        Raises `QueueFull`, `KeyReused`, `SumOutOfRange` or `Unavailable`.
        """
        future: asyncio.Future[Added] = asyncio.get_running_loop().create_future()

        def finish(outcome: Added | Exception) -> None:
            if future.done():  # whoever waited has gone away
                return
            if isinstance(outcome, Added):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

        self.submit(values, key, finish)
        return await future

    def submit(self, values: Sequence[Amount], key: Key | None, finish: Finish) -> None:
        """Queue an add; `finish` gets the answer or the error.

        Raises `QueueFull`, and `Unavailable` after `close`.
        """
        if self._closed:
            raise Unavailable("the adder is shutting down", keyed=key is not None)
        deadline = time.monotonic() + self._database.timeout
        self._queue.put(Request(values, key, finish, deadline))
        self._wake.set()
        self._idle.clear()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._batch = self._queue.take(MAX_BATCH_VALUES)
            self._one_by_one = False
            while self._batch:
                try:
                    await self._commit()
                except Exception as error:
                    self._lose_connection(error)
                    if not is_connection_loss(error):
                        # A refusal or a bug: all that wait on it must know.
                        self._fail_batch(refusal(error) or error)
                    await asyncio.sleep(next(self._pauses))
                self._batch = [request for request in self._batch if not request.finished]
            if not self._queue:
                self._wake.clear()
                self._idle.set()

    async def _commit(self) -> None:
        """Commit the batch or a part of it; what stays unanswered is to be tried again."""
        await self._connected()
        # Chosen only now: those that expired while the database was away are told that nothing
        # of theirs was stored, and from here to the sending nothing else runs.
        self._give_up(time.monotonic())
        requests = _without_repeated_keys(self._batch)
        if not requests:
            return
        if self._one_by_one:
            requests = requests[:1]
        started = time.monotonic()
        try:
            before = await self._store(requests)
        except asyncpg.LockNotAvailableError:
            await self._free_total()
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != _KEYS:
                raise
            await self._replay(requests)
        except (asyncpg.CheckViolationError, asyncpg.NumericValueOutOfRangeError):
            # Somebody's values take the sum out of its range: find out whose, refuse only those.
            if self._one_by_one or len(requests) == 1:
                # Unless it is a retry: that gets its first answer, whatever the sum is now.
                await self._replay(requests)
                requests[0].settle(SumOutOfRange())
            self._one_by_one = True
        else:
            if before is not None:
                self._database.note_reached(change=True)
                self._pauses = pauses_between_tries(self._database.timeout)
                size = sum(len(request.values) for request in requests)
                self._on_commit(len(requests), size, time.monotonic() - started)
                # Claimed now, answered only in the loop's next turn: the next batch is on its way
                # to the database before the first of these answers is written.
                asyncio.get_running_loop().call_soon(
                    _answer, [(request, request.claim()) for request in requests], before
                )

    async def _store(self, requests: list[Request]) -> Any:  # noqa: ANN401
        """Store requests; return the total before them, or None where they were not stored."""
        connection = await self._connected()
        self._batch_sent, self._sent_at = True, time.monotonic()
        ended_waits = self._database.ended_waits
        try:
            before = await self._add_batch(connection, requests)
            self._database.require_waited(ended_waits)
            if before is not None:
                self._batch_number += 1
            else:
                # The database does not know this writer: it is another one, or was restored.
                self._begin_anew()
                self._lose_connection(ConnectionError("the database was replaced"))
        except Exception as error:
            if was_undone(error) or not is_connection_loss(error):
                self._batch_sent = False
                raise
            self._lose_connection(error)
            before = await self._outcome()
            if before is None:
                self._batch_sent = False
                await asyncio.sleep(next(self._pauses))
        self._batch_sent = False
        return before

    async def _add_batch(self, connection: Any, requests: list[Request]) -> Any:  # noqa: ANN401
        """Run the one statement; return the total before it, or None if the fence refused it."""
        keyed: list[tuple[Key, int, int]] = []
        values: list[str] = []
        for request in requests:
            first = len(values) + 1
            # As numeric takes it; plainer text would cost more to write and read the same.
            values += [f"{value}e-9" for value in request.values]
            if request.key is not None:
                keyed.append((request.key, first, len(values)))
        return await connection.fetchrow(
            _ADD,
            self._id,
            self._batch_number + 1,
            array_literal(values),
            *(
                (
                    array_literal(key.key for key, _, _ in keyed),
                    array_literal(key.body for key, _, _ in keyed),
                    array_literal(str(first) for _, first, _ in keyed),
                    array_literal(str(last) for _, _, last in keyed),
                )
                if keyed
                else (None, None, None, None)
            ),
            timeout=self._database.timeout,
        )

    async def _free_total(self) -> None:
        """End the sessions that keep the total from everybody: `tally.free_total` says whose."""
        connection = await self._connected()
        ended = await connection.fetchval(_FREE, timeout=self._database.timeout)
        if ended:
            _log.warning("ended %d sessions that kept the total locked", ended)

    async def _replay(self, requests: list[Request]) -> None:
        await replay(self._database, await self._connected(), requests)

    async def _outcome(self) -> Any:  # noqa: ANN401
        """Find out whether the batch whose connection was lost was committed.

        Returns the total before it, or None if it was not and never will be. Keeps trying for
        as long as the database is away: its requests are answered in time by `_expire`.
        """
        pauses = pauses_between_tries(self._database.timeout)
        while True:
            ended_waits = self._database.ended_waits
            try:
                connection = await self._connected()
                try:
                    row = await connection.fetchrow(
                        _SETTLE, self._id, self._batch_number + 1, timeout=self._database.timeout
                    )
                except asyncpg.LockNotAvailableError:
                    # The batch's own backend is still at work on it, or waits for the total.
                    await self._free_total()
                    continue
                self._database.require_waited(ended_waits)
            except Exception as error:
                self._lose_connection(error)
                if is_connection_loss(error):
                    await asyncio.sleep(next(pauses))
                    continue
                row = None
            if row is None:
                # Another database, or one restored from before this writer began, or one that
                # refuses: whether the batch is in it can't be known, so nobody may be told that it
                # is not.
                self._begin_anew()
                self._fail_batch(Unavailable("the database was replaced", outcome_known=False))
                return None
            stored = row["before_id"] is not None
            self._database.note_reached(change=stored)
            self._batch_number += 1
            return row if stored else None

    def _begin_anew(self) -> None:
        """Become another writer, so that no batch of the old one's is taken for one of this."""
        self._id, self._batch_number = uuid.uuid4(), 0

    async def _connected(self) -> Any:  # noqa: ANN401
        """Return the connection, opening it again and again until there is one."""
        pauses = pauses_between_tries(self._database.timeout)
        while self._connection is None or self._connection.is_closed():
            try:
                # Kept at once, so that whatever fails now, the connection is closed.
                self._connection = connection = await self._database.connect()
                await connection.fetch(_REGISTER, self._id, timeout=self._database.timeout)
                await connection.execute(
                    f"SET lock_timeout = '{_LOCK_TIMEOUT}'", timeout=self._database.timeout
                )
            except Exception as error:
                if not is_connection_loss(error):
                    raise
                self._lose_connection(error)
                await asyncio.sleep(next(pauses))
        return self._connection

    def _lose_connection(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        self._database.note_lost(error, change=True)

    def _fail_batch(self, error: Exception) -> None:
        for request in self._batch:
            request.settle(error)
        self._batch_sent = False

    async def _expire(self) -> None:
        while True:
            await self._wake.wait()  # where nothing waits, nothing wakes up ten times a second
            await asyncio.sleep(_EXPIRY_TICK)
            self._give_up(time.monotonic())

    def _give_up(self, now: float) -> None:
        """Answer the requests whose time has run out.

        One that was not sent will not be: its outcome is known. One that was sent may yet be
        committed.
        """
        # Both are in order of deadlines.
        sent_just_now = self._batch_sent and now - self._sent_at < GRACE
        for request in self._batch:
            if request.deadline > now or sent_just_now:
                break
            if not request.finished:
                request.settle(
                    Unavailable(
                        "the database did not answer in time", outcome_known=not self._batch_sent
                    )
                )
        for request in self._queue.take_expired(now):
            request.settle(Unavailable("the database did not answer in time"))


def _answer(claimed: list[tuple[Request, Finish]], before: Any) -> None:  # noqa: ANN401
    """Give each request of a batch its own ids and its own running sum."""
    last_id, count = before["before_id"], before["before_count"]
    running = from_numeric(before["before_sum"])
    for request, finish in claimed:
        size = len(request.values)
        first_id = last_id + 1
        last_id += size
        count += size
        running = Amount(running + sum(request.values))
        finish(Added(first_id, last_id, running, count))


def _without_repeated_keys(requests: list[Request]) -> list[Request]:
    """Leave out requests whose key another one in the batch has: they are answered after it.

    Leaves out those that have their answer, too.
    """
    seen: set[str] = set()
    chosen = []
    for request in requests:
        if request.finished:
            continue
        if request.key is not None:
            if request.key.key in seen:
                continue
            seen.add(request.key.key)
        chosen.append(request)
    return chosen
