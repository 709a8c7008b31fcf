"""Asks a running service whether it answers: a container's health check without extra tools."""

from http.client import HTTPConnection, HTTPException
from typing import Final

from tally.settings import Settings

# Shorter than the five seconds after which a container's engine gives up on the check itself.
_TIMEOUT_SECONDS: Final = 3.0
_OK: Final = 200
# A service that listens on every address is asked at the loopback one.
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class NotHealthy(Exception):
    """The service does not answer as it should; one line that says how."""


def check(service: str, settings: Settings) -> None:
    """Ask a service for its liveness; raise `NotHealthy`.

    Liveness needs no database: a container that is started again would find it away as well.
    """
    path = f"/{service}_service/healthz"
    host = _REACHED_AT.get(settings.host, settings.host)
    connection = HTTPConnection(host, settings.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise NotHealthy(f"{service} does not answer on port {settings.port}: {error}") from error
    finally:
        connection.close()
    if status != _OK:
        raise NotHealthy(f"{service} answers {path} with status {status}")
