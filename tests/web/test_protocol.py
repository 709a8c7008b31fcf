"""How long a connection stays open."""

import asyncio

import uvicorn
from uvicorn.server import ServerState

from tally.web.fast_path import FastRoute
from tally.web.protocol import LimitedProtocol

KEEP_ALIVE = 0.4
REQUEST = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"


async def _careful(scope, receive, send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * KEEP_ALIVE)
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"slow"})


def _fast(request) -> bool:
    request.write(200, b"", b"fast")
    return True


async def _connect():
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(_careful, lifespan="off", timeout_keep_alive=KEEP_ALIVE)
    config.load()
    state = ServerState()

    def protocol() -> LimitedProtocol:
        return LimitedProtocol(
            config, state, {}, fast_routes={(b"GET", b"/fast"): FastRoute(_fast, None)}
        )

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    return server, reader, writer, state


async def _seconds_until_closed(reader) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    return loop.time() - began


async def test_an_idle_connection_is_closed_however_its_last_request_was_answered() -> None:
    for paths in ([], [b"fast"], [b"careful"], [b"fast", b"careful"], [b"careful", b"fast"]):
        server, reader, writer, _ = await _connect()
        for path in paths:
            writer.write(REQUEST % path)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(4)
        assert 0.9 * KEEP_ALIVE < await _seconds_until_closed(reader) < 5 * KEEP_ALIVE
        writer.close()
        server.close()


async def test_a_connection_that_is_used_stays_open() -> None:
    server, reader, writer, _ = await _connect()
    for _ in range(8):
        await asyncio.sleep(KEEP_ALIVE / 2)
        writer.write(REQUEST % b"fast")
        await reader.readuntil(b"fast")
    writer.write(REQUEST % b"slow")
    await reader.readuntil(b"slow")
    await asyncio.sleep(KEEP_ALIVE / 2)
    writer.write(REQUEST % b"fast")
    await reader.readuntil(b"fast")
    writer.close()
    server.close()


async def test_a_client_that_stops_sending_ends_its_connection() -> None:
    server, reader, writer, state = await _connect()
    unfinished = REQUEST.replace(b"Host", b"Connection: close\r\nContent-Length: 9\r\nHost")
    writer.write(unfinished % b"careful")
    # All that there is to read, while the server still waits for the body.
    assert (await reader.read()).endswith(b"slow")
    writer.write(b"half")
    await asyncio.sleep(0.1)
    assert len(state.connections) == 1
    writer.close()
    await asyncio.sleep(0.1)
    assert not state.connections
    server.close()
