"""Every setting, read once from the environment and validated."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import quote

from tally import database_url

LogFormat = Literal["auto", "json", "text"]

_MAX_PORT: Final = 65535
# Fewer can be guessed.
MIN_TOKEN: Final = 16
MAX_TOKEN: Final = 512
# A name, an IPv4 address or an IPv6 address in brackets, and a port if it is not the usual one.
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?|\*")
_URLS: Final = frozenset(
    {"database_url", "adder_database_url", "display_database_url", "reset_database_url"}
)
# What may be a secret may stand in a file, as containers are given theirs.
_SECRET_FILES: Final = ("_url_file", "_token_file", "_password_file")
# Kubernetes sets these in a pod for each Service of its namespace, here for one whose name begins
# with "tally" (kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_KUBERNETES: Final = re.compile(
    r"TALLY_(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://\S*")
# What the project's own tests and scripts are told.
_DEVELOPERS: Final = ("TALLY_TEST_", "TALLY_TERRAFORM_MIRROR")
# The roles of PostgreSQL whose passwords can be set, as TALLY_ADDER_PASSWORD and so on.
PASSWORD_ROLES: Final = ("tally_adder", "tally_display", "tally_reset", "tally_operator")


class InvalidSetting(ValueError):
    """An environment variable breaks a rule; the message names it and the rule."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set; each field's variable is `TALLY_` and its name in capitals."""

    database_url: str | None = None
    adder_database_url: str | None = None
    display_database_url: str | None = None
    reset_database_url: str | None = None
    data_dir: Path = Path(".tally")
    host: str = "127.0.0.1"
    port: int = 8080
    hosts: tuple[str, ...] = ()
    add_token: str | None = None
    reset_token: str | None = None
    request_timeout: float = 5.0
    queue_limit: int = 100_000
    max_viewers: int = 10_000
    max_connections: int = 12_000
    log: LogFormat = "auto"
    metrics_port: int | None = None

    def database_url_of(self, service: str) -> str | None:
        """The service's own database URL, or the one for all."""
        own: str | None = getattr(self, f"{service}_database_url")
        return own or self.database_url


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raise `InvalidSetting` for the first that breaks a rule.

    An empty variable counts as not set, and blanks around a value are no part of it. A secret may
    stand in a file, which `TALLY_` its name and `_FILE` then gives.
    """
    given = _given(environment)
    password = given.get("database_password")
    if password is not None:
        _password("database_password", password)
        for name in _URLS & given.keys():
            given[name] = _with_password(_url(name, given[name]), password)
    parsed = {name: _PARSERS[name](name, given[name]) for name in _PARSERS if name in given}
    return Settings(**parsed)  # type: ignore[arg-type]


def read_passwords(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Read the passwords that `tally migrate` sets, by role; raise `InvalidSetting`.

    They are no `Settings`, so that no service holds them. An empty variable counts as not set.
    """
    given = _given(environment)
    names = {role: _password_name(role) for role in PASSWORD_ROLES}
    return {role: _password(name, given[name]) for role, name in names.items() if name in given}


def unknown_settings(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Say of each variable that is named as a setting and is none, in a line, what was meant."""
    known = {*_PARSERS, "database_password", *map(_password_name, PASSWORD_ROLES)}
    names = {f"TALLY_{name.upper()}" for name in known}
    names |= {f"{name}_FILE" for name in names if f"{name}_FILE".lower().endswith(_SECRET_FILES)}
    unknown = [
        name
        for name, value in sorted(environment.items())
        if name.startswith("TALLY_")
        and name not in names
        and not name.startswith(_DEVELOPERS)
        and not _KUBERNETES.fullmatch(name)
        and not _SERVICE_ADDRESS.fullmatch(value)
    ]
    if not unknown:
        return []
    from difflib import get_close_matches  # noqa: PLC0415 - a health check must be quick

    return [
        f"{name} is not a setting of Tally and changes nothing"
        + "".join(f": did you mean {near}?" for near in get_close_matches(name, names, 1, 0.8))
        for name in unknown
    ]


def _password_name(role: str) -> str:
    return f"{role.removeprefix('tally_')}_password"


def _given(environment: Mapping[str, str]) -> dict[str, str]:
    """Read what is set, by the names that settings have here."""
    given = {
        name.removeprefix("TALLY_").lower(): stripped
        for name, value in environment.items()
        if name.startswith("TALLY_") and (stripped := value.strip())
    }
    for name, value in given.items():
        # A password may have any visible characters.
        if value[0] in "\"'" and value[-1] == value[0] and not name.endswith("_password"):
            raise _refuse(
                name,
                "must stand without quotes around it: docker's --env-file, for one, leaves them",
            )
    for name in [name for name in given if name.endswith(_SECRET_FILES)]:
        secret = name.removesuffix("_file")
        if secret in given:
            raise _refuse(name, f"and TALLY_{secret.upper()} must not both be set")
        try:
            given[secret] = _path(name, given[name]).read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise _refuse(name, f"names a file that can't be read: {reason}") from None
    return given


def _with_password(url: str, password: str) -> str:
    """Give the URL the password, unless it has one."""
    if "password" in database_url.parse(url).parameters:
        return url
    return f"{url}{'&' if '?' in url else '?'}password={quote(password, safe='')}"


def _refuse(name: str, rule: str) -> InvalidSetting:
    return InvalidSetting(f"TALLY_{name.upper()} {rule}")


def _text(name: str, value: str) -> str:
    return value


def _path(name: str, value: str) -> Path:
    """Read a path; `~` is somebody's home, as where no shell wrote it out."""
    if value.startswith("$"):
        raise _refuse(name, f"must be a path written out, not {value!r}: no shell reads it here")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise _refuse(
            name, f"must be a path, and whose home {value!r} begins with is not known"
        ) from None


def _url(name: str, value: str) -> str:
    # The value is not repeated: it may hold a password.
    try:
        database_url.parse(value)
    except database_url.InvalidDatabaseUrl as error:
        raise _refuse(name, str(error)) from None
    return value


def _token(name: str, value: str) -> str:
    if len(value) < MIN_TOKEN:
        raise _refuse(name, f"must have at least {MIN_TOKEN} characters")
    return _password(name, value)


def _password(name: str, value: str) -> str:
    if len(value) > MAX_TOKEN or not all("!" <= letter <= "~" for letter in value):
        raise _refuse(name, f"must be 1 to {MAX_TOKEN} visible ASCII characters")
    return value


def _hosts(name: str, value: str) -> tuple[str, ...]:
    hosts = tuple(host.strip() for host in value.split(","))
    for host in hosts:
        if _HOST.fullmatch(host) is None:
            raise _refuse(
                name, f"must be hosts such as tally.example.com, separated by commas, not {host!r}"
            )
    return hosts


def _port(name: str, value: str) -> int:
    rule = f"must be a port from 0 to {_MAX_PORT}, not {value!r}"
    if _SERVICE_ADDRESS.fullmatch(value):
        service = "-".join(["tally", *name.split("_")[:-1]])
        rule += f": Kubernetes sets it for a Service named {service}"
        rule += "; put enableServiceLinks: false into the pod's spec, or set the port there"
    port = _whole(value)
    if port is None or port > _MAX_PORT:
        raise _refuse(name, rule)
    return port


def _number(name: str, value: str) -> int:
    number = _whole(value)
    if not number:
        raise _refuse(name, f"must be a whole number above 0, not {value!r}")
    return number


def _whole(value: str) -> int | None:
    """Read a whole number of at most 18 digits, or None."""
    digits = value.isascii() and value.isdigit() and len(value) <= 18  # noqa: PLR2004
    return int(value) if digits else None


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    # Below the ten seconds in which a service must have stopped.
    if not 0.1 <= seconds <= 8:  # noqa: PLR2004
        raise _refuse(name, f"must be from 0.1 to 8 seconds, not {value!r}")
    return seconds


def _log_format(name: str, value: str) -> str:
    if value not in get_args(LogFormat):
        raise _refuse(name, f"must be one of {', '.join(get_args(LogFormat))}, not {value!r}")
    return value


_PARSERS: Final = {
    "database_url": _url,
    "adder_database_url": _url,
    "display_database_url": _url,
    "reset_database_url": _url,
    "data_dir": _path,
    "host": _text,
    "port": _port,
    "hosts": _hosts,
    "add_token": _token,
    "reset_token": _token,
    "request_timeout": _seconds,
    "queue_limit": _number,
    "max_viewers": _number,
    "max_connections": _number,
    "log": _log_format,
    "metrics_port": _port,
}
