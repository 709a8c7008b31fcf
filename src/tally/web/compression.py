"""Compressing what is sent: gzip, for who accepts it."""

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

# Less fits one packet as it is.
LEAST: Final = 1024
# For a page of 20 kB: a window of 8 KiB takes half the time of the usual 32 KiB, most of which goes
# to its memory, and level 3 half of level 6; together they send a seventh more.
_LEVEL: Final = 3
_GZIP_8_KIB: Final = 16 + 13  # zlib's number for gzip's head, and the window's bits
_MEMORY_LEVEL: Final = 6
# Those who look at the display at once get the very same page.
_SHARED_PAGES: Final = 4


@lru_cache(maxsize=_SHARED_PAGES)
def gzip(body: bytes) -> bytes:
    """Compress quickly."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_8_KIB, _MEMORY_LEVEL)
    return compressor.compress(body) + compressor.flush()


def accepts_gzip(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether Accept-Encoding names gzip, and not with a weight of 0 (RFC 9110, 12.5.3)."""
    given = b",".join(value for name, value in headers if name == b"accept-encoding")
    for coding in given.lower().translate(None, b" \t").split(b","):
        name, _, weight = coding.partition(b";q=")
        if name == b"gzip":
            return not weight or weight.strip(b"0.") != b""
    return False
