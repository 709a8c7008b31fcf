"""`tally health`: what a container's engine asks, without extra tools."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest


def health(service: str, host: str, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tally", "health", service],
        env={**os.environ, "TALLY_HOST": host, "TALLY_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("service", ["adder", "display", "reset"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_service_that_answers_is_healthy(server, service: str, host: str) -> None:
    port = urlsplit(server.url).port
    assert port is not None
    asked = health(service, host, port)
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "", "")


def test_a_service_that_is_not_there_is_not(free_port) -> None:
    asked = health("display", "127.0.0.1", free_port)
    assert asked.returncode == 1
    assert asked.stderr.startswith(f"tally: display does not answer on port {free_port}: ")
    assert asked.stderr.count("\n") == 1
