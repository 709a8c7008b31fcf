"""An add: the values, the key that it may carry, and how it is answered."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tally.amount import Amount
from tally.ledger.database import Unavailable


@dataclass(slots=True)
class Added:
    """What an add did: the ids it got, and the total right after it."""

    first_id: int
    last_id: int
    sum: Amount
    count: int
    replayed: bool = False


class QueueFull(Exception):
    """More values wait than the queue may hold; this try stored nothing.

    `keyed` as of `Unavailable`.
    """

    def __init__(self, reason: str, *, keyed: bool = False) -> None:
        super().__init__(reason)
        self.keyed = keyed


class KeyReused(Exception):
    """The key was used before, with another body; nothing was stored."""


class SumOutOfRange(Exception):
    """The total would leave its range; nothing was stored."""

    def __init__(self) -> None:
        super().__init__("the sum would have more than 29 digits before the point")


class Key(NamedTuple):
    """An Idempotency-Key and what was sent under it, as 128-bit digests in hexadecimal."""

    key: str
    body: str

    @classmethod
    def of(cls, key: str, values: Iterable[Amount], *, batch: bool) -> "Key":
        """Digest a key and a body; bodies that mean the same are the same."""
        body = ("batch:" if batch else "single:") + ",".join(map(str, values))
        return cls(digest(key), digest(body))


def digest(text: str) -> str:
    """Digest a text to 128 bits, in hexadecimal: 10^12 keys collide with a chance of 10^-15."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


Finish = Callable[[Added | Exception], None]
"""Takes the answer to an add, or the error."""


@dataclass(slots=True, eq=False)
class Request:
    """An add that waits for its commit; `finish` is called once."""

    values: Sequence[Amount]
    key: Key | None
    finish: Finish
    deadline: float
    finished: bool = False

    def claim(self) -> Finish:
        """Take over the duty to answer, unless the request was answered before."""
        if self.finished:
            return _no_answer
        self.finished = True
        return self.finish

    def settle(self, outcome: Added | Exception) -> None:
        """Answer the request unless it was answered before."""
        if self.key is not None and isinstance(outcome, Unavailable):
            outcome = outcome.under_key()
        self.claim()(outcome)


def _no_answer(outcome: Added | Exception) -> None:
    """Answer one who had an answer already."""
