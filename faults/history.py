"""The history of a run: every operation, in the order in which they ended. Checkers read only this.

A run sees hundreds of thousands of attempts, so operations are kept packed: about 50 bytes each.
Times are seconds of `time.monotonic`.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

import msgspec

Kind = Literal["add", "total", "entries", "reset", "undo", "resets"]
Move = Literal["switchover", "failover"]

# Packing this much takes a few milliseconds, which the clients' event loop can spare.
_PIECE_BYTES: Final = 256 * 1024


class Attempt(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """One request of a client and its answer or error.

    `values` are an add's, as sent; an undo has its reset's id there. `status` and `answer` are None
    where no answer came; an answer is any JSON, not yet checked. `replayed` is whether it had the
    header Idempotency-Replayed. `never_sent`: the service never got all of the request, so nothing
    was stored. `entries` and `resets` read the newest page.
    """

    client: int
    kind: Kind
    service: str
    sent: float
    ended: float
    key: str | None = None
    values: tuple[str, ...] = ()
    batch: bool = False
    status: int | None = None
    answer: Any = None
    replayed: bool = False
    error: str | None = None
    never_sent: bool = False


class Fault(msgspec.Struct, frozen=True, tag=True):
    """A fault, injected at `began`.

    It was held until `healed`. A request sent after `over` and answered shows that its service is
    back. `error` says why it could not be injected. `serving`: every service had to go on serving
    from then until it was healed; None where a fault may stop one. `moves` is how it moves the
    cluster's leadership, if it does; at `whole` all nodes were there again.
    """

    name: str
    began: float
    healed: float
    over: float
    detail: str = ""
    error: str | None = None
    serving: float | None = None
    moves: Move | None = None
    whole: float | None = None


class Leader(msgspec.Struct, frozen=True, tag=True):
    """A node of the cluster began to lead, and had a standby that its commits could wait for."""

    node: str
    at: float


class Sessions(msgspec.Struct, frozen=True, tag=True):
    """The most sessions of one process of Tally's that a node was seen to have until then."""

    node: str
    at: float
    most: int


class Start(msgspec.Struct, frozen=True, tag=True):
    """A process of a service was started."""

    service: str
    at: float


class Exit(msgspec.Struct, frozen=True, tag=True):
    """A process of a service ended.

    A negative status is the signal that killed it. `signal` is what the run sent it, at `asked`.
    """

    service: str
    at: float
    status: int
    signal: int | None = None
    asked: float = 0.0


class Usage(msgspec.Struct, frozen=True, tag=True):
    """Resident memory in bytes and open descriptors of a service's process."""

    service: str
    at: float
    memory: int
    descriptors: int


class Peak(msgspec.Struct, frozen=True, tag=True):
    """The most resident memory in bytes that a service's process has held, noted during a fault."""

    service: str
    at: float
    fault: str
    memory: int


class Command(msgspec.Struct, frozen=True, tag=True):
    """A run of `tally migrate` or `tally audit`, with all that it printed."""

    name: str
    sent: float
    ended: float
    status: int
    output: str


class FinalState(msgspec.Struct, frozen=True, tag=True):
    """The rows of the ledger once nothing changes it any more.

    `entries` are (id, value, sum_after) in the order of ids; `total` and each of `resets` a row by
    its columns' names, amounts as text.
    """

    entries: list[tuple[int, str, str]]
    total: dict[str, Any]
    resets: list[dict[str, Any]] = []


Operation = Attempt | Fault | Leader | Sessions | Start | Exit | Usage | Peak | Command | FinalState
_O = TypeVar("_O", bound=Operation)

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_decode: Final = msgspec.json.Decoder(Operation).decode


class History:
    """Operations, in the order in which they were added."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._open = bytearray()
        # All but the attempts are few, and are kept as they are, too.
        self._few: list[Operation] = []

    def add(self, operation: Operation) -> None:
        if not isinstance(operation, Attempt):
            self._few.append(operation)
        self._open += _encode(operation) + b"\n"
        if len(self._open) >= _PIECE_BYTES:
            self._packed.append(zlib.compress(self._open, 1))
            self._open = bytearray()

    def attempts(self) -> Iterator[Attempt]:
        """Unpack the attempts, one at a time."""
        for piece in self._pieces():
            for line in piece.splitlines():
                operation = _decode(line)
                if isinstance(operation, Attempt):
                    yield operation

    def all(self, kind: type[_O]) -> list[_O]:
        """List the operations of any kind but attempts."""
        return [operation for operation in self._few if isinstance(operation, kind)]

    @property
    def final(self) -> FinalState:
        """The final state. Raises ValueError where the run came to no end."""
        (state,) = self.all(FinalState)
        return state

    def write(self, path: Path) -> None:
        """Write a file with one JSON object a line."""
        with path.open("wb") as file:
            file.writelines(self._pieces())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote. Raises `msgspec.DecodeError` for any other."""
        history = cls()
        with path.open("rb") as file:
            for line in file:
                history.add(_decode(line))
        return history

    def _pieces(self) -> Iterator[bytes]:
        yield from map(zlib.decompress, self._packed)
        yield bytes(self._open)
