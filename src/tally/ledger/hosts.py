"""Connecting to a database that has several hosts: those of a cluster, of which one leads.

asyncpg tries the hosts one after the other, too, but within one timeout: one that takes a
connection and never answers, as a frozen machine does, would keep it from the others for ever.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

_SESSION: Final = "target_session_attrs"
# libpq's own way to prefer: a pass for those, then one for any.
_PASSES: Final = {"prefer-standby": ("standby", "any")}


async def connect(
    url: str, seconds: float, may_try_next: Callable[[Exception], bool], **options: object
) -> Any:  # noqa: ANN401 - asyncpg is untyped
    """Connect to the first host that answers as asked, each tried for its share of `seconds`.

    After an error, `may_try_next` tells whether the next host is tried. Raises the last error.
    """
    hosts = each_host(url)
    if len(hosts) == 1:
        return await asyncpg.connect(url, timeout=seconds, **options)
    wanted = dict(parse_qsl(urlsplit(url).query)).get(_SESSION, "any")
    tries = [(one, kind) for kind in _PASSES.get(wanted, (wanted,)) for one in hosts]
    error: Exception = OSError("no host")
    for one, kind in tries:
        try:
            return await asyncpg.connect(
                one, timeout=seconds / len(tries), target_session_attrs=kind, **options
            )
        except Exception as raised:
            if not may_try_next(raised):
                raise
            error = raised
    raise error


def each_host(url: str) -> list[str]:
    """Give a URL once for each of its hosts, which stand before the path or in the query."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        return [
            urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in hosts.split(",")
        ]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    names = query.get("host", "").split(",")
    if len(names) == 1:
        return [url]
    ports = query.pop("port", "5432").split(",")
    if len(ports) == 1:
        ports *= len(names)
    return [
        f"{url.partition('?')[0]}?{urlencode(query | {'host': name, 'port': port})}"
        for name, port in zip(names, ports, strict=True)
    ]
