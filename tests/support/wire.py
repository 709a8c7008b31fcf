"""A client below HTTP: sends bytes as they are, and reads every answer that comes back."""

import json
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import chain, repeat
from typing import Any

import httpx

from tests.support.http import connect

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([1-5][0-9]{2}) [\t -~]*")
_FIELD_LINE = re.compile(
    rf"({_TOKEN}):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~])?)?)[ \t]*"
)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)\r\n")
# IMF-fixdate (RFC 9110, section 5.6.7).
_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")


@dataclass(frozen=True)
class Answer:
    """`headers` are by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def final(self) -> bool:
        return self.status >= 200

    @property
    def faults(self) -> list[str]:
        """What no answer may be, whatever was asked."""
        has = self.headers.keys()
        found = []
        if 200 <= self.status < 500 and "date" not in has:
            found.append("no Date (RFC 9110, 6.6.1)")
        if "date" in has and not _is_date(self.headers["date"]):
            found.append("Date is no IMF-fixdate (RFC 9110, 5.6.7)")
        if self.status == 405 and "allow" not in has:
            found.append("405 without Allow (RFC 9110, 15.5.6)")
        if self.status == 401 and "www-authenticate" not in has:
            found.append("401 without a challenge (RFC 9110, 15.5.2)")
        if {"content-length", "transfer-encoding"} <= has:
            found.append("both lengths (RFC 9112, 6.2)")
        if (self.status == 204 or not self.final) and has & {"content-length", "transfer-encoding"}:
            found.append("a length where no body can be (RFC 9110, 8.6; RFC 9112, 6.1)")
        if self.status == 101:
            found.append("the protocol was switched, and there is no other (RFC 9110, 7.8)")
        return found


def exchange(server, pieces: Iterable[bytes], *, half_close: bool = False) -> bytes:
    """Send each piece by itself; return all that came until the server closed the connection."""
    received = b""
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed before it had all; what it said is still to be read
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass  # closed with bytes unread
        except TimeoutError:
            raise AssertionError(f"the connection stayed open after {received!r}") from None
    return received


def read_answer(connection: socket.socket) -> Answer:
    """Read the one answer that comes; it says its length, and the connection may stay open."""
    received = b""
    while not _is_whole(received):
        part = connection.recv(65536)
        assert part, f"the connection was closed after {received!r}"
        received += part
    [answer] = read_answers(received)
    return answer


def read_answers(received: bytes, methods: Iterable[str] = ()) -> list[Answer]:
    """Take answers apart; raise AssertionError where they are not well-formed.

    `methods` are those of the requests in their order. Past their end, an answer to HEAD is known
    by what follows it: no body of ours begins as an answer does, and none is cut off.
    """
    left, answers = received, []
    asked = chain(methods, repeat(""))
    method = next(asked)
    while left:
        head, end, left = left.partition(b"\r\n\r\n")
        assert end, f"a head without an end: {head!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        status_line = _STATUS_LINE.fullmatch(first)
        assert status_line, f"no status line: {first!r}"
        status, headers = int(status_line[1]), _fields(lines)
        is_head = method == "HEAD" or (not method and (not left or left.startswith(b"HTTP/1.1 ")))
        body = b""
        if status >= 200 and status not in {204, 304} and not is_head:
            body, left = _body(headers, left)
        answers.append(Answer(status, headers, body))
        if status >= 200:
            method = next(asked)
    return answers


def final(answers: Iterable[Answer]) -> list[Answer]:
    """Leave out the informational ones, of which a request may get any number."""
    return [it for it in answers if it.final]


def settled_count(add: Callable[[], httpx.Response]) -> int:
    """Count the entries, one more than before, after all that was sent before: adds keep order."""
    answer = add()
    assert answer.status_code == 201, answer.text
    count: int = answer.json()["count"]
    return count


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= int(_LENGTH.search(head)[1])


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        field = _FIELD_LINE.fullmatch(line)
        assert field, f"no field line: {line!r}"
        name = field[1].lower()
        assert name not in fields, f"{name} comes twice"
        fields[name] = field[2]
    return fields


def _body(headers: dict[str, str], left: bytes) -> tuple[bytes, bytes]:
    if headers.get("transfer-encoding") == "chunked":
        return _chunked(left)
    assert "transfer-encoding" not in headers, headers
    if "content-length" not in headers:
        return left, b""  # until the connection closes
    length = int(headers["content-length"])
    assert len(left) >= length, f"{length} bytes were promised, {len(left)} came: {left!r}"
    return left[:length], left[length:]


def _chunked(left: bytes) -> tuple[bytes, bytes]:
    body = b""
    while size := _CHUNK.match(left):
        length, left = int(size[1], 16), left[size.end() :]
        assert left[length : length + 2] == b"\r\n", f"a chunk without an end: {left!r}"
        body, left = body + left[:length], left[length + 2 :]
        if not length:
            return body, left
    raise AssertionError(f"no chunk: {left!r}")


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text) and parsedate_to_datetime(text))
