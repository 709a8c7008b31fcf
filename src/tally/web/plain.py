"""A request that arrived whole, alone and in its plainest form, read with one regular expression.

Most requests are plain, and h11 takes longer to read one than a service to answer it. What this
takes h11 and the rules of `head` would take, and read alike; a test holds it to them.
"""

import re
from typing import Final, NamedTuple

from tally.web.head import HOST, MAX_FIELDS, MAX_HEADERS, MAX_URL

# Names are tokens, values visible ASCII and spaces. Possessive, so that it takes linear time.
_HEAD: Final = re.compile(
    rb"((?!CONNECT )[A-Z]++ /[!-~]*+ HTTP/1\.1)\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++: [ -~]*+\r\n)++)\r\n"
)
# What changes where a request ends.
_CAREFUL: Final = frozenset((b"expect", b"transfer-encoding"))


class PlainRequest(NamedTuple):
    """A request line such as b"GET / HTTP/1.1", headers by lower-case name, and a whole body."""

    line: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


def read_plain(data: bytes) -> PlainRequest | None:
    """Read what is a plain request and nothing else; None for anything else."""
    head = _HEAD.match(data)
    if head is None:
        return None
    line, fields = head.groups()
    headers = {}
    lines = fields[:-2].split(b"\r\n")
    for field in lines:
        name, _, value = field.partition(b": ")
        headers[name.lower()] = value.strip()
    body = data[head.end() :]
    connection = headers.get(b"connection", b"keep-alive")
    if (
        len(lines) == len(headers) <= MAX_HEADERS
        and len(line) <= MAX_URL
        and len(fields) <= MAX_FIELDS
        and headers.keys().isdisjoint(_CAREFUL)
        and connection in (b"keep-alive", b"close")
        and headers.get(b"content-length", b"0") == b"%d" % len(body)
        and HOST.fullmatch(headers.get(b"host", b""))
    ):
        return PlainRequest(line, headers, body, connection == b"keep-alive")
    return None
