"""Where one server's files are, and whose: its data folder, the lock on it, its socket's folder.

A data folder holds `cluster` (PostgreSQL's own files and log), `run` (its socket) and `lock`.

Root never runs PostgreSQL: it is run as the user that owns the cluster, at first `ACCOUNT`. Where
that user can't enter the data folder or the binaries, they are kept under `SHARED` instead; no
permission of a folder made by somebody else is ever changed.
"""

import fcntl
import hashlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tally.embedded.error import EmbeddedError

SHARED = Path("/var/lib/tally")
_OUR_NAMES: Final = frozenset({"lock", "cluster.new", "run"})
_MOUNT_NAMES: Final = frozenset({"lost+found"})  # an empty disk's own folder

PORT = 5432  # only part of the socket's name; written into URLs so that PGPORT can't change it
_SOCKET_NAME: Final = f".s.PGSQL.{PORT}"
_SOCKET_BYTES: Final = 103  # macOS's limit for a socket's path; Linux allows 107
# Survives asyncpg's lists of hosts (no comma, no colon) and PostgreSQL's lists of folders.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._ -]+")
# Where TMPDIR is itself too long. Its sticky bit and a check of ownership make it safe.
_SHORT_TEMPORARY: Final = Path("/tmp")  # noqa: S108


class Account(NamedTuple):
    """The numeric user and group that PostgreSQL runs as."""

    uid: int
    gid: int


# For root. The traditional "nobody": initdb refuses a user id without an entry in the user
# database, this one has an entry everywhere, and so no user needs to be created.
ACCOUNT = Account(65534, 65534)


@dataclass(frozen=True)
class Place:
    """Where one server's files are, and whose."""

    home: Path
    account: Account

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        """The server's log, which each start empties."""
        return self.cluster / "postgres.log"

    @property
    def version_file(self) -> Path:
        """Which PostgreSQL made the cluster."""
        return self.cluster / "PG_VERSION"


def find_place(folder: Path) -> Place:
    """Where a data folder's files are: in itself or in its stand-in. Raises EmbeddedError."""
    folder = folder.resolve()
    if os.geteuid() != 0:
        return Place(folder, Account(os.geteuid(), os.getegid()))
    for home in (folder, _stand_in(folder)):
        if (home / "cluster").is_dir():
            return _place_of_cluster(home)
    home = folder if _closed_on_the_way(folder, ACCOUNT) is None else _stand_in(folder)
    return Place(home, ACCOUNT)


def _place_of_cluster(home: Path) -> Place:
    """Existing data stays where it is: a new, empty cluster elsewhere would look like its loss."""
    status = (home / "cluster").stat()
    account = Account(status.st_uid, status.st_gid)
    if account.uid == 0:
        raise EmbeddedError(
            f"the data in {home} belongs to root, which PostgreSQL refuses to run as; give it to "
            f"another user (chown -R {ACCOUNT.uid}:{ACCOUNT.gid}) or set TALLY_DATA_DIR"
        )
    closed = _closed_on_the_way(home, account)
    if closed is not None:
        raise EmbeddedError(
            f"the data in {home} can't be reached by its owner, user id {account.uid}, because "
            f"{closed} is closed; let others enter it or move the data and set TALLY_DATA_DIR"
        )
    return Place(home, account)


def _stand_in(folder: Path) -> Path:
    return SHARED / f"data-{_digest(folder)}"


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _closed_on_the_way(path: Path, account: Account) -> Path | None:
    """The first existing folder down to and including `path` that the account can't enter."""
    for folder in (*reversed(path.parents), path):
        try:
            status = folder.stat()
        except FileNotFoundError:
            return None  # whatever is missing will be made with a fitting mode
        if not stat.S_ISDIR(status.st_mode):
            return None  # nothing to enter; its use will say so
        if not _may_enter(status, account):
            return folder
    return None


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def check_content(place: Place) -> None:
    """Refuse a folder of somebody else's things."""
    if place.version_file.exists():
        return
    home = place.home
    names = {entry.name for entry in home.iterdir()} if home.exists() else set()
    foreign = sorted(names - _OUR_NAMES - _MOUNT_NAMES)
    if foreign:
        raise EmbeddedError(
            f"data folder {home} holds something else ({foreign[0]}); empty it or set "
            "TALLY_DATA_DIR to another folder"
        )


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder and its missing parents with exact modes; leave existing ones untouched."""
    if folder.is_dir():
        return
    missing = [parent for parent in folder.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        parent.chmod(0o755)
    folder.mkdir()
    folder.chmod(mode)


def make_private_folder(folder: Path, account: Account) -> None:
    """Make a folder that nobody but the account (and root) enters."""
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)


def take_lock(home: Path) -> int:
    """An open file that holds the folder; the kernel lets go of it when this process ends.

    Raises EmbeddedError while another process holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    lock = os.open(home / "lock", flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise EmbeddedError(
            f"data folder {home} is in use by process {holder}; stop it or set TALLY_DATA_DIR "
            "to another folder"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def make_socket_folder(place: Place) -> Path:
    """A private folder for the socket: in the data folder, or in a short place if that is long."""
    sockets = _choose_socket_folder(place)
    if not os.path.lexists(sockets):
        make_private_folder(sockets, place.account)
    status = sockets.lstat()
    private = stat.S_ISDIR(status.st_mode) and not stat.S_IMODE(status.st_mode) & 0o077
    if not private or status.st_uid != place.account.uid:
        raise EmbeddedError(
            f"{sockets} is not a private folder of user id {place.account.uid}; remove it"
        )
    for stale in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
        (sockets / stale).unlink(missing_ok=True)
    return sockets


def _choose_socket_folder(place: Place) -> Path:
    name = f"tally-{_digest(place.home)}"
    for folder in (place.home / "run", Path(tempfile.gettempdir()) / name, _SHORT_TEMPORARY / name):
        socket = os.fsencode(folder / _SOCKET_NAME)
        plain = _PLAIN_PATH.fullmatch(str(folder)) is not None
        if plain and len(socket) <= _SOCKET_BYTES and _is_open_to(folder.parent, place.account):
            return folder
    raise EmbeddedError("no short folder for the socket was found; set TMPDIR to one")


def _is_open_to(folder: Path, account: Account) -> bool:
    return os.geteuid() != 0 or _closed_on_the_way(folder.resolve(), account) is None
