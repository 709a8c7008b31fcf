"""A client of a running Tally: requests, raw bytes, and what it logged."""

import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

ENTRIES = "/adder_service/entries"

pytest.register_assert_rewrite("tests.support.contract")


@pytest.fixture
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture
def add(client) -> Callable[..., httpx.Response]:
    def add(value: object = 1, **headers: str) -> httpx.Response:
        return client.post(ENTRIES, json={"value": value}, headers=headers)

    return add


@pytest.fixture
def count(client) -> Callable[[], int]:
    return lambda: client.get("/display_service/total").json()["count"]


@pytest.fixture
def raw(server) -> Callable[..., bytes]:
    """Send bytes as they are, and read until the server has nothing more to say."""

    def raw(data: bytes, seconds: float = 2) -> bytes:
        received = b""
        with connect(server) as connection:
            connection.settimeout(seconds)
            try:
                connection.sendall(data)
                while part := connection.recv(65536):
                    received += part
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
        return received

    return raw


def connect(server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def logged(running) -> list[dict]:
    """Every line of a server's log: each must be JSON."""
    return [json.loads(line) for line in running.log.read_text().splitlines()]


def line_of(server, request_id: str) -> dict:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = [line for line in logged(server) if line.get("request_id") == request_id]
        if lines:
            assert len(lines) == 1
            return lines[0]
        time.sleep(0.02)
    raise AssertionError("the request was not logged")


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
