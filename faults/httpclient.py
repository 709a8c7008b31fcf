"""HTTP/1.1 over one kept-open connection, which tells apart what became of a request.

A careful client must know whether a request may have been stored. That is lost behind a library's
pools and retries, so this speaks the protocol itself, as far as Tally's answers need it.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

# Twice as long as a service waits for the database before it answers 503.
_TIMEOUT: Final = 10.0


class NotSent(Exception):
    """There was no connection: the service got nothing."""


class NoAnswer(Exception):
    """The request was sent, and no whole answer came: what became of it is not known."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service process listens on the loopback interface."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered; the headers' names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def encode(method: str, path: str, body: bytes = b"", key: str | None = None) -> bytes:
    """Write a request, with its idempotency key if it has one."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    if body:
        lines.append("Content-Type: application/json")
    if key is not None:
        lines.append(f"Idempotency-Key: {key}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """A connection to one service process, opened when needed; one request at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, request: bytes) -> Answer:
        """Send an encoded request and read its answer; raises NotSent or NoAnswer."""
        reader, writer = await self._opened()
        keep = False
        try:
            writer.write(request)
            async with asyncio.timeout(_TIMEOUT):
                answer = await _read_answer(reader)
            keep = answer.headers.get("connection") != "close"
        except (OSError, EOFError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        finally:
            if not keep:
                self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None:
            reader, writer = self._streams
            if not reader.at_eof() and not writer.is_closing():
                return self._streams
            self.close()
        try:
            async with asyncio.timeout(_TIMEOUT):
                self._streams = await asyncio.open_connection("127.0.0.1", self._address.port)
        except OSError as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error
        return self._streams


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(first.split()[1]), headers, body)
