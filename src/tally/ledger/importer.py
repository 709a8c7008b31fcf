"""Importing a file that was checked: in batches, each of which counts exactly once.

A file is known by its content, and so are the keys of its batches: an import that was broken off
goes on where it stopped, and one that is run again adds nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tally.amount import Amount
from tally.ledger.database import Database, Unavailable
from tally.ledger.replay import recall
from tally.ledger.writer import Added, Key, KeyReused, SumOutOfRange, Writer

# One is committed while the next is prepared.
_IN_FLIGHT: Final = 3

Keyed = tuple[Key, Sequence[Amount]]
"""Values that are added together, and their key."""


@dataclass(slots=True)
class Counted:
    """How many values count, their sum, and the newest of their entries."""

    count: int = 0
    sum: int = 0
    last_id: int = 0

    def take(self, values: Sequence[Amount], last_id: int) -> None:
        self.count += len(values)
        self.sum += sum(values)
        self.last_id = max(self.last_id, last_id)


@dataclass(slots=True)
class Imported:
    """What an import added, and what it met that was counted before."""

    added: Counted = field(default_factory=Counted)
    already: Counted = field(default_factory=Counted)

    @property
    def count(self) -> int:
        return self.added.count + self.already.count


class Stopped(Exception):
    """An import did not come to its end; what is done until then counts, and it can go on."""

    def __init__(self, reason: Exception, done: Imported) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.done = done


class CountedOtherwise(Exception):
    """What was counted before said something else; nothing was stored."""


def batch_keys(batches: Iterable[Sequence[Amount]], digest: str, label: str) -> Iterator[Keyed]:
    """Give each batch of a file its key; a label makes the same content count once more."""
    for number, values in enumerate(batches):
        yield Key.of(f"file {digest} {label} {number}", values, batch=True), values


async def counted_before(database: Database, batches: Iterable[Keyed]) -> Counted:
    """Tell how much of a file is counted; raise `CountedOtherwise` if that said something else."""
    counted = Counted()
    for key, values in batches:
        answer = (await recall(database, [key.key])).get(key.key)
        if answer is not None and answer.body.hex != key.body:
            raise CountedOtherwise("this was counted before, and said something else")
        if answer is not None:
            counted.take(values, answer.last_id)
    return counted


async def import_keyed(
    writer: Writer,
    chunks: Iterable[Iterable[Keyed]],
    done: Imported,
    progress: Callable[[int], None],
) -> None:
    """Add what has keys, a chunk after the other, and take it to what is done.

    `progress` gets how many values count. Raises `Stopped`.
    """
    waiting: deque[_Chunk] = deque()

    async def finish_first() -> Exception | None:
        chunk = waiting.popleft()
        await chunk.finished
        progress(done.count)
        return chunk.error

    error = None
    for chunk in chunks:
        waiting.append(_Chunk(done))
        waiting[-1].send(writer, chunk)
        # Lets the writer send this chunk while the next is read.
        await asyncio.sleep(0)
        if len(waiting) == _IN_FLIGHT:
            error = await finish_first()
        if error is not None:
            break
    while waiting:
        # Those that were sent meanwhile may be stored, whatever became of the first.
        later = await finish_first()
        error = error or later
    if isinstance(error, KeyReused | SumOutOfRange | Unavailable):
        raise Stopped(error, done) from error
    if error is not None:
        raise error


class _Chunk:
    """Adds that are sent together; `finished` when each has its answer, `error` the first error."""

    def __init__(self, done: Imported) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.error: Exception | None = None
        self._done = done
        self._left = 1

    def send(self, writer: Writer, requests: Iterable[Keyed]) -> None:
        for key, values in requests:
            self._left += 1
            writer.submit(values, key, partial(self._finish, values))
        self._count_down()

    def _finish(self, values: Sequence[Amount], outcome: Added | Exception) -> None:
        if isinstance(outcome, Added):
            counted = self._done.already if outcome.replayed else self._done.added
            counted.take(values, outcome.last_id)
        else:
            self.error = self.error or outcome
        self._count_down()

    def _count_down(self) -> None:
        self._left -= 1
        if not self._left:
            self.finished.set_result(None)
