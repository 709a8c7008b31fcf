"""A link passes everything on, or falls silent for those that are meant, and tells nobody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from faults.link import Link


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """Leads to a server that says again what it is told."""

    echoing = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        echoing.append(asyncio.current_task())
        while line := await reader.readline():
            writer.write(line)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    link = Link(server.sockets[0].getsockname()[1])
    await link.start()
    yield link
    await link.close()
    server.close()
    await server.wait_closed()
    await asyncio.gather(*echoing)


class Client:
    """A connection by way of the link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, line: bytes) -> asyncio.Task[bytes]:
        """Send a line; the task is done once it has come back."""
        self.writer.write(line)
        return asyncio.create_task(self.reader.readline())


@pytest.fixture
async def connect(link) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    clients: list[Client] = []

    async def connect() -> Client:
        host, port = link.address.split(":")
        clients.append(Client(*await asyncio.open_connection(host, int(port))))
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()
        await client.writer.wait_closed()


async def test_what_is_sent_into_the_silence_comes_late(link, connect) -> None:
    client = await connect()
    assert await client.send(b"one\n") == b"one\n"
    with link.silent():
        late = client.send(b"two\n")
        new = (await connect()).send(b"three\n")
        await asyncio.sleep(0.3)
        assert not late.done()
        assert not new.done()
    assert await late == b"two\n"
    assert await new == b"three\n"


async def test_silence_is_for_those_who_are_meant(link, connect) -> None:
    meant, other = [await connect() for _ in range(2)]
    for client, name in ((meant, b"meant\n"), (other, b"other\n")):
        assert await client.send(name) == name
    with link.silent(lambda first: first.startswith(b"meant")):
        late = meant.send(b"again\n")
        assert await other.send(b"again\n") == b"again\n"
        assert not late.done()
    assert await late == b"again\n"


async def test_nothing_passes_a_link_that_is_closed(link, connect) -> None:
    client = await connect()
    assert await client.send(b"one\n") == b"one\n"
    await link.close()
    assert await client.reader.read() == b""
