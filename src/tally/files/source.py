"""Where values come from: a file, a pipe or standard input, plain or compressed by gzip."""

import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from tally.files.invalid import InvalidFile

STANDARD_INPUT: Final = "-"
# Also the most that is decompressed at once, whatever a compressed block holds.
_BLOCK: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"
# What zlib calls the gzip format, with its check sums.
_GZIP_WINDOW: Final = 31


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for "-"; what goes wrong with it is `InvalidFile`."""
    if path == STANDARD_INPUT:
        if sys.stdin is None:
            raise InvalidFile("is closed")
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - the block below closes it
    except FileNotFoundError:
        raise InvalidFile("there is no such file") from None
    except (OSError, ValueError) as error:
        raise InvalidFile(f"can't be read: {_reason(error)}") from None
    with file:
        yield file


def content(file: BinaryIO) -> Iterator[bytes]:
    """Give what a file holds, decompressed; refuse one that is changed meanwhile."""
    before = _state(file)
    try:
        blocks = iter(lambda: file.read(_BLOCK), b"")
        first = next(blocks, b"")
        if first.startswith(_GZIP):
            yield from _decompressed(first, blocks)
        else:
            yield first
            yield from blocks
    except OSError as error:
        raise InvalidFile(f"can't be read: {_reason(error)}") from None
    except zlib.error:
        raise InvalidFile("is damaged: gzip can't decompress it; get it again") from None
    if _state(file) != before:
        raise InvalidFile("was changed while it was read: run this again when it is complete")


def _decompressed(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress one gzip stream after the other, as gzip does."""
    block, stream = first, zlib.decompressobj(_GZIP_WINDOW)
    while block or (block := next(blocks, b"")):
        if stream.eof:
            # Zeros may follow a stream, to fill a block of a tape.
            block = block.lstrip(b"\0")
            if not block:
                continue
            stream = zlib.decompressobj(_GZIP_WINDOW)
        yield stream.decompress(block, _BLOCK)
        block = stream.unused_data if stream.eof else stream.unconsumed_tail
    if not stream.eof:
        raise InvalidFile("is cut short: its gzip stream has no end; get it again")


def _state(file: BinaryIO) -> object:
    """Give what differs after a change; a pipe has nothing of the kind."""
    found = os.fstat(file.fileno())
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
