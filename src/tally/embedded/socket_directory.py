"""The directory of a server's socket: private, and with a path that is short and plain enough."""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from tally.embedded.accounts import (
    NOBODY,
    SERVICES,
    Account,
    first_closed,
    make_private_directory,
)
from tally.embedded.data_directory import DataDirectory, digest
from tally.embedded.error import EmbeddedError

PORT = 5432  # only part of the socket's name; written into URLs so that PGPORT can't change it
_SOCKET_NAME: Final = f".s.PGSQL.{PORT}"
_SOCKET_BYTES: Final = 103  # macOS's limit for a socket's path; Linux allows 107
# Survives asyncpg's lists of hosts (no comma, no colon) and PostgreSQL's lists of directories.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._ -]+")
# Where TMPDIR is itself too long. Its sticky bit and a check of ownership make it safe.
_SHORT_TEMPORARY: Final = Path("/tmp")  # noqa: S108


def make_socket_directory(data: DataDirectory) -> Path:
    """Make it in the data directory, or in a temporary one where that has too long a path.

    Root lets the services' group in, which is the services' alone.
    """
    as_root = os.geteuid() == 0
    owner = Account(data.account.uid, SERVICES.gid) if as_root else data.account
    mode = 0o710 if as_root else 0o700
    sockets = _choose(data)
    if as_root and os.path.lexists(sockets) and sockets.lstat().st_uid == NOBODY.uid:
        shutil.rmtree(sockets)  # an older release's
    if not os.path.lexists(sockets):
        make_private_directory(sockets, owner, mode)
    try:
        descriptor = os.open(sockets, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError:
        raise _not_private(sockets, owner) from None
    try:
        status = os.fstat(descriptor)
        if stat.S_IMODE(status.st_mode) & 0o077 & ~mode or status.st_uid != owner.uid:
            raise _not_private(sockets, owner)
        if as_root:
            os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    for stale in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
        (sockets / stale).unlink(missing_ok=True)
    return sockets


def _not_private(sockets: Path, owner: Account) -> EmbeddedError:
    return EmbeddedError(f"{sockets} is not a private directory of user id {owner.uid}; remove it")


def _choose(data: DataDirectory) -> Path:
    name = f"tally-{digest(data.path)}"
    temporary = (Path(tempfile.gettempdir()) / name, _SHORT_TEMPORARY / name)
    for path in (data.path / "run", *temporary):
        socket = os.fsencode(path / _SOCKET_NAME)
        plain = _PLAIN_PATH.fullmatch(str(path)) is not None
        if plain and len(socket) <= _SOCKET_BYTES and _is_open_to(path.parent, data.account):
            return path
    raise EmbeddedError("no short directory for the socket was found; set TMPDIR to one")


def _is_open_to(path: Path, account: Account) -> bool:
    if os.geteuid() != 0:
        return True
    return all(first_closed(path.resolve(), who) is None for who in (account, SERVICES))
