"""A database URL: libpq's grammar and parameters, held to what can be honoured.

No message repeats anything of a URL but the names of parameters that libpq knows: what stands where
a name or a host should may be a part of a password.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final
from urllib.parse import unquote

from tally.database_url.keywords import IGNORED, KEYWORDS

# Of RFC 3986, with what libpq takes besides: any letter, and `:` within a password.
_TEXT: Final = r"(?:[^\s:/?#\[\]@%\x00-\x1f\x7f]|%[0-9A-Fa-f]{2})"
_URL: Final = re.compile(
    rf"""(?:postgresql|postgres)://
    (?:(?P<user>{_TEXT}*)(?::(?P<password>(?:{_TEXT}|:)*))?@)?
    (?P<hosts>(?:{_TEXT}|[:\[\]])*)
    (?:/(?P<dbname>(?:{_TEXT}|:)*))?
    (?:\?(?P<query>(?:{_TEXT}|[:/@\[\]])*))?""",
    re.VERBOSE,
)
_HOST: Final = re.compile(
    r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]*))?"
)
_NO_TEXT: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNREADABLE: Final = (
    "must be a URL such as postgresql://user:password@host:5432/tally; in a user, a password or a"
    " database's name, write % as %25, / as %2F, # as %23, ? as %3F, @ as %40, a blank as %20"
)


class InvalidDatabaseUrl(ValueError):
    """The URL can't be used; the message says what is wrong, and holds nothing of the URL."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """What a database URL says, decoded.

    `hosts` has names, addresses or folders of sockets with their ports, None where the URL leaves
    them to the usual ones. `parameters` are libpq's others, those of them that count. A password is
    never shown.
    """

    hosts: tuple[tuple[str, int | None], ...]
    parameters: Mapping[str, str]

    def __repr__(self) -> str:
        return f"DatabaseUrl({self.shown!r})"

    @property
    def shown(self) -> str:
        """Hosts, ports and the database, as people may see them."""
        hosts = ",".join(
            "local socket" if host.startswith("/") else _with_port(host, port)
            for host, port in self.hosts
        )
        database = self.parameters.get("dbname")
        return (hosts or "local socket") + (f"/{database}" if database else "")


def parse(url: str) -> DatabaseUrl:
    """Read a URL as libpq does; raise `InvalidDatabaseUrl`."""
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidDatabaseUrl(_UNREADABLE)
    given = {name: _decoded(match[name]) for name in ("user", "password", "dbname") if match[name]}
    hosts, ports = _hosts(match["hosts"])
    if hosts:
        given["host"] = ",".join(hosts)
    if any(ports):
        given["port"] = ",".join(ports)
    given |= _query(match["query"])
    for name, value in given.items():
        _require(name, value)
    hostnames = _list(given.pop("host", ""))
    return DatabaseUrl(_paired(hostnames, _list(given.pop("port", ""))), _counting(given))


def _query(query: str | None) -> dict[str, str]:
    found = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        name, value = _decoded(name), _decoded(value)
        if not equals:
            raise InvalidDatabaseUrl(_UNREADABLE)
        if name == "ssl" and value == "true":  # as JDBC says it; libpq takes it too
            name, value = "sslmode", "require"
        if name not in KEYWORDS:
            raise InvalidDatabaseUrl(_unknown(name))
        if value:
            found[name] = value
    return found


def _unknown(name: str) -> str:
    close = get_close_matches(name, KEYWORDS, 1)
    return (
        "has a parameter that libpq does not know"
        + (f"; did you mean {close[0]}?" if close else "")
        + "; settings of the server go into options=-c%20NAME%3DVALUE, and a ? in a password is"
        " written as %3F"
    )


def _require(name: str, value: str) -> None:
    rule = KEYWORDS[name]
    if isinstance(rule, str):
        raise InvalidDatabaseUrl(f"has the parameter {name}, which can't be used: {rule}")
    if (broken := rule(value)) is not None:
        raise InvalidDatabaseUrl(f"has the parameter {name}, which {broken}")


def _counting(given: dict[str, str]) -> dict[str, str]:
    """Leave out what changes nothing, and put what means the same in one way."""
    counting = {name: value for name, value in given.items() if name not in IGNORED}
    if counting.pop("channel_binding", "") == "require":
        # Both prove that no other server stands in the middle.
        counting.setdefault("sslrootcert", "system")
        counting["sslmode"] = "verify-full"
    if counting.get("sslrootcert") == "system" and (
        counting.setdefault("sslmode", "verify-full") != "verify-full"
    ):
        raise InvalidDatabaseUrl("has sslrootcert=system, which needs sslmode=verify-full")
    return counting


def _hosts(text: str) -> tuple[list[str], list[str]]:
    hosts, ports = [], []
    for part in text.split(",") if text else ():
        match = _HOST.fullmatch(part)
        if match is None:
            raise InvalidDatabaseUrl(_UNREADABLE)
        hosts.append(_decoded(match["address"] or match["name"]))
        ports.append(match["port"] or "")
    return ([] if hosts == [""] else hosts), ports


def _paired(hosts: list[str], ports: list[str]) -> tuple[tuple[str, int | None], ...]:
    if len(ports) > 1 and len(ports) != max(len(hosts), 1):
        raise InvalidDatabaseUrl("must have one port, or as many ports as hosts")
    ports = ports or [""]
    if len(ports) < len(hosts):
        ports *= len(hosts)
    if "" in hosts:
        raise InvalidDatabaseUrl("must not have an empty host in a list of hosts")
    numbers = [int(port) if port else None for port in ports]
    return tuple(zip(hosts or [""], numbers, strict=True)) if hosts or numbers != [None] else ()


def _list(text: str) -> list[str]:
    return text.split(",") if text else []


def _decoded(text: str) -> str:
    decoded = unquote(text, errors="surrogateescape")
    if any(
        letter < " " or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in decoded
    ):
        raise InvalidDatabaseUrl(
            "must be in UTF-8 and without control characters, percent-encoded or not"
        )
    return decoded


def _with_port(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"
