"""Reaching one of a database URL's hosts, whichever of them answers as it was asked to."""

import random
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg

from tally.database_url import DatabaseUrl
from tally.ledger.failures import is_connection_loss

# Seconds: a peer that is silent for so long is asked, so often, and given up then; the same on the
# server's side, in `session.py`. What was sent waits no longer for its acknowledgement.
KEEPALIVES: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
USER_TIMEOUT: Final = 30
# libpq's parameters that asyncpg knows under the same names, and takes from a URL only.
_ASYNCPGS: Final = (
    *("user", "password", "dbname", "passfile", "service", "krbsrvname", "gsslib"),
    *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)


class Hosts:
    """The hosts of a URL, the one that answered last before the others."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._given = url.parameters
        self._hosts = list(url.hosts) or [("", None)]
        if self._given.get("load_balance_hosts") == "random":
            random.shuffle(self._hosts)
        known = {name: self._given[name] for name in _ASYNCPGS if name in self._given}
        self._dsn = f"postgresql://?{urlencode(known)}"
        attributes = self._given.get("target_session_attrs", "any")
        self._wanted = ("standby", "any") if attributes == "prefer-standby" else (attributes,)

    @property
    def last(self) -> tuple[str, int | None]:
        """The one that answered last."""
        return self._hosts[0]

    async def connect(self, settings: Mapping[str, str], seconds: float) -> Any:  # noqa: ANN401
        """Log in within so many seconds, of which each host gets its share: one may be frozen.

        Raises the last host's error.
        """
        tries = [(host, wanted) for wanted in self._wanted for host in self._hosts]
        share = seconds / len(tries)
        limit = int(self._given.get("connect_timeout", 0))
        if limit > 0:
            share = min(share, limit)
        for host, wanted in tries:
            try:
                connection = await self._log_in(host, wanted, settings, share)
            except Exception as error:
                if not is_connection_loss(error) or (host, wanted) == tries[-1]:
                    raise
            else:
                self._hosts.remove(host)
                self._hosts.insert(0, host)
                self._keep_alive(connection)
                return connection
        raise AssertionError("there is at least one host")

    async def _log_in(
        self,
        host: tuple[str, int | None],
        wanted: str,
        settings: Mapping[str, str],
        seconds: float,
    ) -> Any:  # noqa: ANN401
        options = {"options": self._given["options"]} if "options" in self._given else {}
        return await asyncpg.connect(
            self._dsn,
            host=host[0] or None,
            port=host[1],
            timeout=seconds,
            target_session_attrs=wanted,
            server_settings=options | dict(settings),
            servicefile=self._given.get("servicefile"),
            ssl=self._system_tls(),
        )

    def _system_tls(self) -> ssl.SSLContext | None:
        """Trust what this machine trusts: asyncpg takes `sslrootcert=system` for a file."""
        if self._given.get("sslrootcert") != "system":
            return None
        context = ssl.create_default_context()
        context.set_alpn_protocols(["postgresql"])
        if "sslcert" in self._given:
            context.load_cert_chain(
                self._given["sslcert"], self._given.get("sslkey"), self._given.get("sslpassword")
            )
        return context

    def _keep_alive(self, connection: Any) -> None:  # noqa: ANN401
        """Let the system find a network that is dead: some of what is asked has no timeout."""
        peer = connection._transport.get_extra_info("socket")  # there is nothing public
        if peer is None or peer.family == socket.AF_UNIX or self._given.get("keepalives") == "0":
            return
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, option in _SOCKET_OPTIONS.items():
            value = int(self._given.get(name, 0)) or KEEPALIVES.get(name, USER_TIMEOUT * 1000)
            peer.setsockopt(socket.IPPROTO_TCP, option, value)


# Not every system has all of them, or under these names.
_SOCKET_OPTIONS: Final = {
    name: getattr(socket, constant)
    for name, constant in (
        ("keepalives_idle", "TCP_KEEPIDLE"),
        ("keepalives_interval", "TCP_KEEPINTVL"),
        ("keepalives_count", "TCP_KEEPCNT"),
        ("tcp_user_timeout", "TCP_USER_TIMEOUT"),
    )
    if hasattr(socket, constant)
}
