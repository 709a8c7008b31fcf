"""libpq's keywords (PostgreSQL 18, 34.1.2), each with the values that can be honoured."""

import re
from collections.abc import Callable, Mapping
from typing import Final

_MAX_PORT: Final = 65535
_MAX_NUMBER: Final = 2**31 - 1

Rule = Callable[[str], str | None]
"""Takes a value, and says what is wrong with it."""


def _any(value: str) -> str | None:
    return None


def _one_of(*values: str, why: str = "") -> Rule:
    def rule(value: str) -> str | None:
        if value in values:
            return None
        return f"must be {', '.join(values[:-1]) + ' or ' * (len(values) > 1) + values[-1]}{why}"

    return rule


def _whole(value: str) -> str | None:
    if re.fullmatch(r"-?[0-9]{1,10}", value) and int(value) <= _MAX_NUMBER:
        return None
    return "must be a whole number"


def _ports(value: str) -> str | None:
    for port in value.split(","):
        if port and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) <= _MAX_PORT):
            return f"must be numbers from 1 to {_MAX_PORT}, separated by commas"
    return None


def _folder_or_name(value: str) -> str | None:
    if any(host.startswith("@") for host in value.split(",")):
        return "must not be an abstract socket: use one in a folder"
    return None


_TLS: Final = _one_of("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_NEVER: Final = _one_of("0", why=": asyncpg can't do it")
# What each value must be; or, in words, why the keyword can't be used at all.
KEYWORDS: Final[Mapping[str, Rule | str]] = {
    "application_name": _any,
    "channel_binding": _one_of("disable", "prefer", "require"),
    "client_encoding": _one_of(
        *("auto", "UTF8", "utf8", "UTF-8", "utf-8", "unicode", "UNICODE"),
        why=": Tally speaks UTF-8",
    ),
    "connect_timeout": _whole,
    "dbname": _any,
    "fallback_application_name": _any,
    "gssdelegation": _NEVER,
    "gssencmode": _one_of("disable", "prefer", why=": asyncpg encrypts by TLS alone"),
    "gsslib": _one_of("gssapi"),
    "host": _folder_or_name,
    "hostaddr": "put the address into host",
    "keepalives": _one_of("0", "1"),
    "keepalives_count": _whole,
    "keepalives_idle": _whole,
    "keepalives_interval": _whole,
    "krbsrvname": _any,
    "load_balance_hosts": _one_of("disable", "random"),
    "max_protocol_version": _one_of("3.0", "3.2", "latest"),
    "min_protocol_version": _one_of("3.0", why=": asyncpg speaks that version"),
    "oauth_client_id": "asyncpg knows no OAuth",
    "oauth_client_secret": "asyncpg knows no OAuth",
    "oauth_issuer": "asyncpg knows no OAuth",
    "oauth_scope": "asyncpg knows no OAuth",
    "options": _any,
    "passfile": _any,
    "password": _any,
    "port": _ports,
    "replication": _one_of("false", "off", "no", "0", why=": Tally runs SQL"),
    "require_auth": "asyncpg takes any method that the server asks for; bound them in pg_hba.conf",
    "requirepeer": "asyncpg can't check it; guard the folder of the socket",
    "scram_client_key": "asyncpg needs the password itself",
    "scram_server_key": "asyncpg needs the password itself",
    "service": _any,
    "servicefile": _any,
    "sslcert": _any,
    "sslcertmode": _one_of("allow", why=": asyncpg sends a certificate where there is one"),
    "sslcompression": _one_of("0", why=": TLS has none any more"),
    "sslcrl": _any,
    "sslcrldir": "asyncpg takes one file: use sslcrl",
    "sslkey": _any,
    "sslkeylogfile": "it would write the keys of the encryption into a file",
    "sslmode": _one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": _one_of("postgres", "direct"),
    "sslpassword": _any,
    "sslrootcert": _any,
    "sslsni": _one_of("1", why=": asyncpg always names the host"),
    "ssl_max_protocol_version": _TLS,
    "ssl_min_protocol_version": _TLS,
    "target_session_attrs": _one_of(
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby"
    ),
    "tcp_user_timeout": _whole,
    "user": _any,
}
# Accepted, as the only values allowed are what happens anyway; and Tally names its connections
# itself, to find their backends again.
IGNORED: Final = frozenset(
    {
        *("application_name", "client_encoding", "fallback_application_name", "gssdelegation"),
        *("gssencmode", "max_protocol_version", "min_protocol_version", "replication"),
        *("sslcertmode", "sslcompression", "sslsni"),
    }
)
