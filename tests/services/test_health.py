"""A service's health, asked by people (`tally health`) and by a container's engine (the probe)."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tally.services import health

PROBE = ("-I", "-S", health.__file__)
COMMAND = ("-m", "tally", "health")
SERVICES = ("adder", "display", "reset")


@pytest.fixture(params=[PROBE, COMMAND], ids=["probe", "command"])
def asked_by(request) -> tuple[str, ...]:
    return request.param


def run(arguments: tuple[str, ...], host: str, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "TALLY_HOST": host, "TALLY_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def answering() -> Iterator[socket.socket]:
    """A port at which one connection is taken; what it is answered is the test's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def answer(listener: socket.socket, text: bytes) -> None:
    def once() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(text)

    threading.Thread(target=once, daemon=True).start()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_service_that_answers_is_healthy(server, asked_by, service: str, host: str) -> None:
    port = urlsplit(server.url).port
    assert port is not None
    asked = run((*asked_by, service), host, port)
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "", "")


def test_a_service_that_is_not_there_is_not(free_port, asked_by) -> None:
    asked = run((*asked_by, "display"), "127.0.0.1", free_port)
    assert asked.returncode == 1
    assert asked.stderr.startswith(f"tally: display does not answer on port {free_port}: ")
    assert asked.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 503 Service Unavailable"),
        (b"220 mail ready\r\n", "220 mail ready"),
        (b"", ""),
    ],
)
def test_a_service_that_answers_otherwise_is_not(answering, asked_by, text, said) -> None:
    answer(answering, text)
    port = answering.getsockname()[1]
    asked = run((*asked_by, "display"), "127.0.0.1", port)
    assert asked.returncode == 1
    assert asked.stderr == f"tally: display answers /display_service/healthz with {said!r}\n"


def test_a_service_that_says_nothing_is_not(answering, monkeypatch) -> None:
    monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(health.NotHealthy, match="timed out"):
        health.check("display", "127.0.0.1", answering.getsockname()[1])


def test_the_probe_imports_what_a_socket_needs_and_no_more(free_port) -> None:
    """What a probe costs is what it imports, beside the start of Python itself."""

    def imported(*arguments: str) -> set[str]:
        options = ("-X", "importtime", *arguments)
        lines = run(options, "127.0.0.1", free_port).stderr.splitlines()
        return {line.split("|")[2].strip() for line in lines if line.startswith("import time:")}

    more = imported(*PROBE, "display") - imported("-I", "-S", "-c", "pass")
    operating_system = {"_collections_abc", "_stat", "genericpath", "os", "posixpath", "stat"}
    assert more == {"_socket"} | operating_system
