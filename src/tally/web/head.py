"""What the head of a request must be, beyond what h11 asks: RFC 9112 and RFC 9110.

h11 takes line ends and folded lines that other servers read in another way. Where two that handle
the same bytes may differ, a request could be smuggled past one of them, so such a head is refused.
"""

import re
from typing import Final

import h11

from tally.web.problem import Problem

MAX_URL: Final = 8 * 1024
MAX_FIELDS: Final = 32 * 1024  # bytes of all header fields
MAX_HEADERS: Final = 100
# The method, the version and two spaces come on top; no method of ours is as long as this.
MAX_REQUEST_LINE: Final = MAX_URL + 64
MAX_HEAD: Final = MAX_REQUEST_LINE + MAX_FIELDS

# A line feed alone, or a line that goes on after its end: RFC 9112, 2.2 and 5.2.
_MALFORMED_LINE: Final = re.compile(rb"(?<!\r)\n|\r\n[ \t]")
# uri-host [ ":" port ] of RFC 9110, 7.2, without names that need escapes.
HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]++\]|[0-9A-Za-z._~!$&'()*+,;=-]++)(?::[0-9]{0,5})?")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*)(/[^#]*)?(\?[^#]*)?")


def malformed(part: bytes | bytearray, start: int, end: int) -> bool:
    """Tell whether a line of a head, of which this is a part, does not end as it must."""
    return _MALFORMED_LINE.search(part, start, end) is not None


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


def read(parser: h11.Connection) -> h11.Request:
    """Read the head that the parser was given; its target in origin form. Raise `Problem`."""
    request: h11.Request
    try:
        request = parser.next_event()  # type: ignore[assignment]  # of a whole head
    except h11.RemoteProtocolError as error:
        detail = f"the request is not valid HTTP/1.1: {_reason(error)}"
        raise invalid(detail, error.error_status_hint) from None
    _check_sizes(request)
    _check_version(request)
    _check_framing(request)
    return _in_origin_form(request)


def keeps_alive(request: h11.Request) -> bool:
    """Tell whether another request may follow on the connection: RFC 9112, 9.3."""
    options = b",".join(value for name, value in request.headers if name == b"connection")
    return request.http_version != b"1.0" and b"close" not in [
        option.strip().lower() for option in options.split(b",")
    ]


def _reason(error: h11.RemoteProtocolError) -> str:
    # What follows a colon quotes the request.
    return str(error).partition(":")[0].partition(" b'")[0]


def _check_sizes(request: h11.Request) -> None:
    if len(request.target) > MAX_URL:
        raise url_too_long()
    size = sum(len(name) + len(value) for name, value in request.headers)
    if size > MAX_FIELDS or len(request.headers) > MAX_HEADERS:
        raise too_large()


def _check_version(request: h11.Request) -> None:
    if not request.http_version.startswith(b"1."):
        raise invalid("the version of HTTP must be 1.0 or 1.1", 505)
    if request.method == b"CONNECT":
        raise invalid("this is no proxy", 501)


def _check_framing(request: h11.Request) -> None:
    names = [name for name, _ in request.headers]
    if b"transfer-encoding" in names and (
        b"content-length" in names or request.http_version == b"1.0"
    ):
        # RFC 9112, 6.1: the framing is faulty, or somebody before us read it otherwise.
        raise invalid("Transfer-Encoding can't go with Content-Length or HTTP/1.0")


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Check the host, and take it from the target if that has one: RFC 9112, 3.2.2."""
    target, headers = request.target, list(request.headers)
    hosts = [value for name, value in headers if name == b"host"]
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        authority, path, query = absolute.groups(default=b"")
        hosts = [authority]
        target = (path or b"/") + query
        headers = [header for header in headers if header[0] != b"host"]
        headers.append((b"host", authority))
    elif not target.startswith(b"/") and (request.method, target) != (b"OPTIONS", b"*"):
        raise invalid("the target must be a path or a URL")
    # HTTP/1.0 did not know it.
    if any(HOST.fullmatch(host) is None for host in hosts):
        raise invalid("Host must be a name or an address, and may have a port")
    if absolute is None:
        return request
    return h11.Request(
        method=request.method,
        headers=headers,
        target=target,
        http_version=request.http_version,
    )
