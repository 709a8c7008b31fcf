"""Where the body of a request ends, and what bounds it while it comes."""

from typing import Final

import h11

from tally.web.head import invalid
from tally.web.request import MAX_BODY, too_large

# Each chunk costs the parser time. A batch of the greatest size in chunks of 128 bytes still fits.
MAX_CHUNKS: Final = 8 * 1024
# Of a chunked body: its trailers, or the extensions of one chunk.
MAX_TRAILERS: Final = 16 * 1024
# Bytes, with what chunks add.
MAX_RECEIVED: Final = MAX_BODY + 128 * 1024


class BodyReader:
    """Reads one body; `whole` once it has ended, and then `rest` is what came after it."""

    def __init__(self, parser: h11.Connection) -> None:
        """Take a parser that has read the head."""
        self._parser = parser
        self._received = self._chunks = 0
        self.whole = False
        self.rest = b""

    def read(self, data: bytes) -> bytes:
        """Give what these bytes add to the body; raise `Problem`."""
        if data:
            self._parser.receive_data(data)
        parts = []
        try:
            while (event := self._parser.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Data):
                    parts.append(event.data)
                    self._count_chunk(event)
                else:
                    self.whole = True
                    self.rest = self._parser.trailing_data[0]
                    break
        except h11.RemoteProtocolError as error:
            raise invalid("the body is not valid HTTP/1.1", error.error_status_hint) from None
        self._received += len(data) - len(self.rest)
        if self._received > MAX_RECEIVED:
            raise too_large()
        return b"".join(parts)

    def _count_chunk(self, event: h11.Data) -> None:
        self._chunks += event.chunk_start
        if self._chunks > MAX_CHUNKS:
            raise invalid(f"a body may have at most {MAX_CHUNKS} chunks", 413)
