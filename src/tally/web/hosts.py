"""Which names Tally is served under: the rule against DNS rebinding.

A page of another site whose name is made to point at this machine is, to a browser, of the same
origin as Tally. Only the name in `Host` gives it away. Addresses can't be made to point elsewhere.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

ANY: Final = "*"


def name_of(host: str) -> str:
    """Give the name or address of a host that may have a port."""
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.partition(":")[0].lower().rstrip(".")


class Hosts:
    """The hosts that were set, each a name or an address that may have a port; `*` is any."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._names = frozenset(map(name_of, self._hosts))
        # A client sends the same one again and again.
        self.allows = lru_cache(maxsize=1024)(self._allows)

    def _allows(self, host: bytes) -> bool:
        """Tell whether requests for this host are answered."""
        name = name_of(host.decode("latin-1"))
        return (
            ANY in self._hosts
            or name in self._names
            or name == "localhost"
            or name.endswith(".localhost")
            or _is_address(name)
        )

    def own(self, origin: str, host: str | None) -> bool:
        """Tell whether an origin is Tally's own: where the request went, or a host that was set."""
        scheme, _, origin_host = origin.partition("://")
        return bool(scheme and origin_host) and (
            origin_host == host or origin_host.lower() in self._hosts
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
