"""Redis, made as durable as PostgreSQL: every write is on disk before it is answered."""

import csv
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.process import free_port, need, running
from bench.rounds import Figures

_OPTIONS = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no")
_TIMEOUT_SECONDS = 120


class Unsafe(Exception):
    """The server does not do what was asked of it."""


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Run a server with its files in this folder; gives its port."""
    folder.mkdir()
    port = free_port()
    command = [need("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir"]
    with running("redis", [*command, str(folder), *_OPTIONS], folder, lambda: _answers(port)):
        if "always" not in _ask(port, "CONFIG", "GET", "appendfsync"):
            raise Unsafe("Redis does not sync every write")
        yield port


def increment(port: int, *, clients: int, requests: int) -> Figures:
    """INCRBY from so many connections, one request at a time each; returns the figures."""
    ran = subprocess.run(
        [
            *(need("redis-benchmark"), "-p", str(port), "-c", str(clients), "-n", str(requests)),
            *("--csv", "INCRBY", "tally", "7"),
        ],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    return parse(ran.stdout)


def parse(output: str) -> Figures:
    """Read redis-benchmark's CSV: requests a second, and latencies in milliseconds."""
    (row,) = csv.DictReader(output.splitlines())
    return {
        "rate": float(row["rps"]),
        "p50": float(row["p50_latency_ms"]),
        "p99": float(row["p99_latency_ms"]),
        "max": float(row["max_latency_ms"]),
    }


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except ConnectionRefusedError:
        return False


def _ask(port: int, *command: str) -> str:
    asked = [need("redis-cli"), "-p", str(port), *command]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout
