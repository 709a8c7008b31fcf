"""The head of a request, read as strictly as RFC 9112 and RFC 9110 allow.

Where two that handle the same bytes may read them differently, a request could be smuggled past one
of them. So what is lenient in the RFCs is refused: line feeds alone, folded lines, a length that is
given twice.
"""

import re
from typing import Final, NamedTuple

from tally.web.problem import Problem

MAX_URL: Final = 8 * 1024
MAX_FIELDS: Final = 32 * 1024  # bytes of all header fields
MAX_HEADERS: Final = 100
# The method, the version and two spaces come on top; no method of ours is as long as this.
MAX_REQUEST_LINE: Final = MAX_URL + 64
MAX_HEAD: Final = MAX_REQUEST_LINE + MAX_FIELDS

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
# Visible characters, spaces and tabs, and what is not ASCII. Possessive: it takes linear time.
# Never a group: before Python 3.11.5 a possessive one may match too much (CPython issue 106052).
FIELD: Final = rb"%b:[\t -~\x80-\xff]*+\r\n" % TOKEN
_HEAD: Final = re.compile(rb"(%b) ([!-~]++) HTTP/(\d)\.(\d)\r\n((?:%b)*)\r\n" % (TOKEN, FIELD))
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
# uri-host [ ":" port ] of RFC 9110, 7.2, without names that need escapes.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]++\]|[0-9A-Za-z._~-]++)(?::[0-9]{0,5})?")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?")
# RFC 9112, 3.2, 6.1 and 6.3.
_ONCE: Final = (b"host", b"content-length", b"transfer-encoding")
_LENGTH: Final = re.compile(rb"[0-9]++")


class Head(NamedTuple):
    """A request's head.

    The target is in origin form, or `*`. Names of fields are in lower case; `by_name` has the last
    of those that were given more than once. `length` is that of the body, None for chunks.
    """

    method: bytes
    target: bytes
    is_1_0: bool
    fields: list[tuple[bytes, bytes]]
    by_name: dict[bytes, bytes]
    length: int | None
    keep_alive: bool
    expects_continue: bool


def has_bare_line_feed(data: bytes, start: int) -> bool:
    """Tell whether a line of a head, which ends from there on, does not end in CR LF."""
    return _BARE_LINE_FEED.search(data, start) is not None


def invalid(detail: str, status: int = 400) -> Problem:
    """Refuse what is not HTTP/1.1 as we read it."""
    return Problem(status, detail, rule="invalid-http")


def too_large() -> Problem:
    """Refuse a head that breaks a limit on its headers."""
    detail = f"the headers may be at most {MAX_HEADERS} and have {MAX_FIELDS} bytes"
    return Problem(431, detail, rule="headers-too-large")


def url_too_long() -> Problem:
    """Refuse a request line that can't be served."""
    return Problem(414, f"the URL may have at most {MAX_URL} bytes", rule="url-too-long")


def read(data: bytes) -> Head:
    """Read a head, which ends with its empty line; raise `Problem`."""
    head = _HEAD.fullmatch(data)
    if head is None:
        raise invalid("the request's head is not valid HTTP/1.1")
    method, target, major, minor, lines = head.groups()
    fields = []
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        fields.append((name.lower(), value.strip(b" \t")))
    if len(target) > MAX_URL:
        raise url_too_long()
    if len(lines) > MAX_FIELDS or len(fields) > MAX_HEADERS:
        raise too_large()
    if major != b"1":
        raise invalid("the version of HTTP must be 1.0 or 1.1", 505)
    if method == b"CONNECT":
        raise invalid("this is no proxy", 501)
    is_1_0 = minor == b"0"
    by_name = dict(fields)
    if len(by_name) < len(fields):
        _check_doubled([name for name, _ in fields])
    if target.startswith(b"/"):
        host = by_name.get(b"host")
    else:
        target, host = _in_origin_form(method, target, fields, by_name)
    # HTTP/1.0 did not know it.
    if (host is None and not is_1_0) or not (host is None or _HOST.fullmatch(host)):
        raise invalid("Host must be a name or an address, and may have a port")
    return Head(
        method,
        target,
        is_1_0,
        fields,
        by_name,
        _length(by_name, may_be_chunked=not is_1_0),
        not is_1_0 and not (b"connection" in by_name and _has(fields, b"connection", b"close")),
        # RFC 9110, 10.1.1: of an HTTP/1.0 client it is ignored.
        b"expect" in by_name and not is_1_0 and _has(fields, b"expect", b"100-continue"),
    )


def _check_doubled(names: list[bytes]) -> None:
    for name in _ONCE:
        if names.count(name) > 1:
            raise invalid(f"{name.decode().title()} must be given once")


def _has(fields: list[tuple[bytes, bytes]], name: bytes, member: bytes) -> bool:
    """Tell whether a list that may be spread over fields has a member."""
    values = b",".join(value for given, value in fields if given == name)
    return member in (it.strip().lower() for it in values.split(b","))


def _in_origin_form(
    method: bytes,
    target: bytes,
    fields: list[tuple[bytes, bytes]],
    by_name: dict[bytes, bytes],
) -> tuple[bytes, bytes | None]:
    """Give the target in origin form, and the host, from the target if that has one.

    RFC 9112, 3.2.2.
    """
    if (method, target) == (b"OPTIONS", b"*"):
        return target, by_name.get(b"host")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or b"host" not in by_name:
        raise invalid("the target must be a path, or a URL beside Host")
    authority, path, query = absolute.groups(default=b"")
    fields[:] = [field for field in fields if field[0] != b"host"]
    fields.append((b"host", authority))
    if not _HOST.fullmatch(by_name[b"host"]):
        raise invalid("Host must be a name or an address, and may have a port")
    by_name[b"host"] = authority
    return (path or b"/") + query, authority


def _length(by_name: dict[bytes, bytes], *, may_be_chunked: bool) -> int | None:
    """Find how the body ends: RFC 9112, 6."""
    length, coding = by_name.get(b"content-length"), by_name.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or not may_be_chunked:
            raise invalid("Transfer-Encoding can't go with Content-Length or HTTP/1.0")
        if coding.lower() != b"chunked":
            raise invalid("the transfer coding must be chunked", 501)
        return None
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None:
        raise invalid("Content-Length must be a number")
    # No body that is read has as many bytes as nineteen digits count.
    return int(length.lstrip(b"0")[:19] or b"0")
