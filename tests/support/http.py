"""A client of a running Tally: requests, raw bytes, and what it logged."""

import json
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.processes import wait_for

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
    return socket.create_connection((host, int(port)), timeout=60)


def logged(running) -> list[dict]:
    """Every line of a server's log: each must be JSON."""
    return [json.loads(line) for line in running.log.read_text().splitlines()]


def line_of(server, request_id: str) -> dict:
    def lines() -> list[dict]:
        return [line for line in logged(server) if line.get("request_id") == request_id]

    wait_for(lines, said="for the request's line of the log")
    [line] = lines()
    return line
