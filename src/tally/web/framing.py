"""Where the body of a request ends, and what bounds it while it comes: RFC 9112, 6 and 7."""

import re
from typing import Final

from tally.web import request
from tally.web.head import FIELD, TOKEN, invalid, too_large
from tally.web.problem import Problem

# A batch of the greatest size in chunks of 128 bytes still fits.
MAX_CHUNKS: Final = 8 * 1024
MAX_TRAILERS: Final = 16 * 1024  # bytes
MAX_SIZE_LINE: Final = 4 * 1024  # bytes of a chunk's size and extensions
# Bytes that chunks may add to a body.
MAX_FRAMING: Final = 128 * 1024
MAX_RECEIVED: Final = request.MAX_BODY + MAX_FRAMING

_CRLF: Final = b"\r\n"
_VALUE: Final = rb'(?:%b|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\x80-\xff])*")' % TOKEN
_SIZE: Final = re.compile(
    rb"0*+([0-9A-Fa-f]{0,8})(?<=[0-9A-Fa-f])(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*%b)?)*\r\n"
    % (TOKEN, _VALUE)
)
_TRAILER: Final = re.compile(FIELD)


class BodyReader:
    """Reads one body; `whole` once it has ended, and then `rest` is what came after it."""

    def __init__(self, length: int | None) -> None:
        """Take the body's length, None for chunks."""
        self.whole = length == 0
        self.rest = b""
        self._chunked = length is None
        # Of the body or the chunk that is being read.
        self._left = length or 0
        # What is not a whole line yet, and how much of it was looked at.
        self._waiting = b""
        self._read_line = self._read_size
        self._received = self._chunks = self._framing = self._trailers = 0

    def read(self, data: bytes) -> bytes:
        """Give what these bytes add to the body; raise `Problem`."""
        self._received += len(data)
        if self._received > MAX_RECEIVED:
            # Also where nobody asks for the body.
            raise request.too_large()
        data = self._waiting + data
        self._waiting = b""
        parts, at = [], 0
        while not self.whole:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._chunked:
                    self.whole = not self._left
                if self._left or self.whole:
                    break
                self._read_line = self._read_chunk_end
            end = data.find(b"\n", at, at + MAX_TRAILERS) + 1
            if not end:
                self._waiting = data[at:]
                self._check_unfinished(self._waiting)
                return b"".join(parts)
            self._count_framing(end - at)
            self._read_line(data[at:end])
            at = end
        self.rest = data[at:]
        return b"".join(parts)

    def _count_framing(self, size: int) -> None:
        self._framing += size
        if self._framing > MAX_FRAMING:
            raise invalid("the body's chunks are too small, or say too much", 413)

    def _check_unfinished(self, line: bytes) -> None:
        """Refuse early what can't become a line."""
        if self._read_line == self._read_chunk_end and not _CRLF.startswith(line):
            raise _malformed()
        if self._read_line == self._read_size and len(line) > MAX_SIZE_LINE:
            raise invalid(f"a chunk's size and extensions may have {MAX_SIZE_LINE} bytes")
        if len(line) >= MAX_TRAILERS:
            raise too_large()

    def _read_chunk_end(self, line: bytes) -> None:
        if line != _CRLF:
            raise _malformed()
        self._read_line = self._read_size

    def _read_size(self, line: bytes) -> None:
        size = _SIZE.fullmatch(line)
        if size is None or len(line) > MAX_SIZE_LINE:
            raise _malformed()
        self._left = int(size[1] or b"0", 16)
        if not self._left:
            self._read_line = self._read_trailer
            return
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise invalid(f"a body may have at most {MAX_CHUNKS} chunks", 413)

    def _read_trailer(self, line: bytes) -> None:
        if line == _CRLF:
            self.whole = True
            return
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS:
            raise too_large()
        if _TRAILER.fullmatch(line) is None:
            raise _malformed()


def _malformed() -> Problem:
    return invalid("the body is not valid HTTP/1.1")
