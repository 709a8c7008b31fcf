"""Asks a running service whether it is alive.

A container's health check runs this file by its path, every ten seconds and on a quarter of a
processor: `python3 -I -S health.py SERVICE`. What that costs is imports, so there are hardly any:
`_socket` is what `socket` wraps, without the enumerations that cost as much as all the rest.
"""

import os
import sys
from _socket import SOCK_STREAM, getaddrinfo, socket

# Shorter than the five seconds after which a container's engine gives up on the check itself.
_TIMEOUT_SECONDS = 3.0
_OK = b"HTTP/1.1 200 "
# A service that listens on every address is asked at the loopback one.
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class NotHealthy(Exception):
    """The service does not answer as it should; one line that says how."""


def check(service: str, host: str, port: int) -> None:
    """Ask a service for its liveness; raise `NotHealthy`.

    Liveness needs no database: a container that is started again would find it away as well.
    """
    path = f"/{service}_service/healthz"
    try:
        answer = _first_line(_REACHED_AT.get(host, host), port, path)
    except OSError as error:
        raise NotHealthy(f"{service} does not answer on port {port}: {error}") from error
    if not answer.startswith(_OK):
        raise NotHealthy(f"{service} answers {path} with {answer.decode(errors='replace')!r}")


def _first_line(host: str, port: int, path: str) -> bytes:
    connection = _connected(host, port)
    try:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        # All of a short answer: a connection closed with some of it unread is reset.
        while b"\r\n" not in answer and (received := connection.recv(4096)):
            answer += received
    finally:
        connection.close()
    return answer.partition(b"\r\n")[0]


def _connected(host: str, port: int) -> socket:
    # The name as bytes: for text, Python loads its tables of international names.
    for family, kind, protocol, _, address in getaddrinfo(host.encode(), port, 0, SOCK_STREAM):
        connection = socket(family, kind, protocol)
        connection.settimeout(_TIMEOUT_SECONDS)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


if __name__ == "__main__":
    try:
        # An empty variable counts as not set, as in tally.settings.
        check(
            sys.argv[1],
            os.environ.get("TALLY_HOST", "").strip() or "127.0.0.1",
            int(os.environ.get("TALLY_PORT", "").strip() or "8080"),
        )
    except ValueError:
        sys.exit("tally: TALLY_PORT must be a port")
    except NotHealthy as error:
        sys.exit(f"tally: {error}")
