"""What the clients saw and when the faults struck: the judge's evidence.

A run sees hundreds of thousands of requests, so records are kept packed: about 50 bytes each.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec

Kind = Literal["add", "total", "entries", "reset", "undo", "resets"]
Resource = Literal["memory", "descriptors"]

# Packing this much takes a few milliseconds, which the clients' event loop can spare.
_PIECE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One request and what came of it. Times are seconds of `time.monotonic`.

    `sent` is just before the request was sent, `ended` when its answer or its error came.
    `values` are an add's, as sent; an undo may put the reset's id there. `status` and `answer` are
    None where no answer came; an answer is any JSON, which nobody has checked. `replayed` is
    whether it had the header Idempotency-Replayed, and `never_sent` says that the connection was
    refused: certainly nothing was stored.
    `entries` and `resets` are reads of the newest page.
    """

    client: int
    kind: Kind
    service: str
    sent: float
    ended: float | None = None
    key: str | None = None
    values: tuple[str, ...] = ()
    batch: bool = False
    status: int | None = None
    answer: Any = None
    replayed: bool = False
    error: str | None = None
    never_sent: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was broken on purpose, from `began` to `ended` (`time.monotonic`)."""

    name: str
    began: float
    ended: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FinalState:
    """What was found when all had come to rest.

    `entries` are (id, value, sum_after) in the order of ids, `total` and each of `resets` a row by
    its columns' names, amounts as text. `back` is, for each fault, the seconds from its end until
    the service was seen to work, or None if that never came. `resources` are (process, kind,
    before, after), memory in bytes.
    """

    entries: list[tuple[int, str, str]]
    total: dict[str, Any]
    resets: list[dict[str, Any]] = field(default_factory=list)
    audit_status: int = 0
    audit_output: str = ""
    back: list[tuple[str, float | None]] = field(default_factory=list)
    resources: list[tuple[str, Resource, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the file: either the one or the other."""

    record: Record | None = None
    fault: Fault | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Line).decode


class History:
    """All records and faults, in the order in which they ended."""

    def __init__(self) -> None:
        """Begin empty."""
        self._packed: list[bytes] = []
        self._open = bytearray()
        self._records = 0
        self.faults: list[Fault] = []

    def __len__(self) -> int:
        """Count the records."""
        return self._records

    def add(self, record: Record) -> None:
        """Note a request that has ended."""
        self._records += 1
        self._append(_Line(record=record))

    def mark(self, fault: Fault) -> None:
        """Note a fault that has ended."""
        self.faults.append(fault)
        self._append(_Line(fault=fault))

    def records(self) -> Iterator[Record]:
        """Unpack the records, one at a time."""
        for piece in self._pieces():
            for line in piece.splitlines():
                record = _decode(line).record
                if record is not None:
                    yield record

    def write(self, path: Path) -> None:
        """Write everything to a file, one JSON object a line."""
        with path.open("wb") as file:
            file.writelines(self._pieces())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote. Raises `msgspec.DecodeError` for any other."""
        history = cls()
        with path.open("rb") as file:
            for text in file:
                line = _decode(text)
                if line.record is not None:
                    history.add(line.record)
                if line.fault is not None:
                    history.mark(line.fault)
        return history

    def _append(self, line: _Line) -> None:
        self._open += _encode(line) + b"\n"
        if len(self._open) >= _PIECE_BYTES:
            self._packed.append(zlib.compress(self._open, 1))
            self._open = bytearray()

    def _pieces(self) -> Iterator[bytes]:
        yield from map(zlib.decompress, self._packed)
        yield bytes(self._open)
