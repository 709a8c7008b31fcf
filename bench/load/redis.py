"""Redis, made as durable as PostgreSQL: every write is on disk before it is answered."""

import csv
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.process import HOST, Process, free_port, need, running, serving
from bench.rounds import Figures

_OPTIONS = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no")
_TIMEOUT_SECONDS = 120


class Unsafe(Exception):
    """The server does not do what was asked of it."""


@contextmanager
def redis_server(folder: Path) -> Iterator[Process]:
    """Run a server with its files in this folder."""
    folder.mkdir()
    port = free_port()
    command = [need("redis-server"), "--port", str(port), "--bind", HOST, "--dir"]
    with running(
        "redis", [*command, str(folder), *_OPTIONS], folder, lambda: _answers(port)
    ) as pid:
        if "always" not in _ask(port, "CONFIG", "GET", "appendfsync"):
            raise Unsafe("Redis does not sync every write")
        yield Process(pid, port)


@contextmanager
def webdis(redis: Process, folder: Path) -> Iterator[Process]:
    """Run webdis, which speaks HTTP, before a server; its settings are those it comes with."""
    port = free_port()
    settings = folder / f"webdis-{port}.json"
    settings.write_text(
        json.dumps(
            {
                "redis_host": HOST,
                "redis_port": redis.port,
                "http_host": HOST,
                "http_port": port,
                "threads": 2,
                "daemonize": False,
                "verbosity": 3,
                "logfile": f"{settings}.log",
            }
        )
    )
    command = [need("webdis"), str(settings)]
    with serving("webdis", command, folder, path="/PING", port=port) as process:
        yield process


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
    return {**parse(ran.stdout), "requests": requests}


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
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except ConnectionRefusedError:
        return False


def _ask(port: int, *command: str) -> str:
    asked = [need("redis-cli"), "-p", str(port), *command]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout
