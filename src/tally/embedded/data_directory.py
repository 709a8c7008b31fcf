"""A server's data directory: where it is, who owns it, what it may hold, and the lock on it.

It holds `cluster` (PostgreSQL's own files and log), `run` (the socket) and `lock`.

Root never runs PostgreSQL: the user that owns the cluster does, at first `SERVER`. What that user
can't enter, data directory or programs, is kept under `SHARED` instead; Tally never changes the
permissions of a directory that it did not make.
"""

import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tally.embedded.accounts import NOBODY, SERVER, Account, first_closed, make_directory
from tally.embedded.error import EmbeddedError

SHARED = Path("/var/lib/tally")
# In a directory that was asked for, the name of its fallback: it stays when a parent is renamed.
_ELSEWHERE: Final = "kept-in"
_FALLBACK: Final = re.compile(r"data-[0-9a-f]{16}")
_SERVES: Final = "serves"
_OUR_NAMES: Final = frozenset({"lock", "cluster.new", "run", _ELSEWHERE})
_MOUNT_NAMES: Final = frozenset({"lost+found"})  # an empty disk's own directory


@dataclass(frozen=True)
class DataDirectory:
    """The directory asked for, or its fallback under `SHARED`; `account` owns the cluster in it."""

    path: Path
    account: Account

    @property
    def cluster(self) -> Path:
        return self.path / "cluster"

    @property
    def log(self) -> Path:
        """The server's log, which each start empties."""
        return self.cluster / "postgres.log"

    @property
    def version_file(self) -> Path:
        """Which PostgreSQL made the cluster."""
        return self.cluster / "PG_VERSION"


def find_data_directory(path: Path) -> DataDirectory:
    """Find the files of a data directory: in itself or in its fallback. Raises EmbeddedError."""
    path = path.resolve()
    if os.geteuid() != 0:
        return DataDirectory(path, Account(os.geteuid(), os.getegid()))
    fallback = _fallback(path)
    for candidate in (path, fallback):
        if (candidate / "cluster").is_dir():
            return _with_cluster(candidate)
    chosen = path if first_closed(path, SERVER) is None else fallback
    return DataDirectory(chosen, SERVER)


def _with_cluster(path: Path) -> DataDirectory:
    """Existing data stays where it is: a new, empty cluster elsewhere would look like its loss."""
    status = (path / "cluster").stat()
    account = Account(status.st_uid, status.st_gid)
    if account.uid == NOBODY.uid:
        account = SERVER  # who is given what older releases left to a user of many
    if account.uid == 0:
        raise EmbeddedError(
            f"the data in {path} belongs to root, which PostgreSQL refuses to run as; give it to "
            f"another user (chown -R {SERVER.uid}:{SERVER.gid}) or set TALLY_DATA_DIR"
        )
    closed = first_closed(path, account)
    if closed is not None:
        raise EmbeddedError(
            f"the data in {path} can't be reached by its owner, user id {account.uid}, because "
            f"{closed} is closed; let others enter it or move the data and set TALLY_DATA_DIR"
        )
    return DataDirectory(path, account)


def _fallback(path: Path) -> Path:
    try:
        name = (path / _ELSEWHERE).read_text()
    except OSError:
        name = ""
    return SHARED / (name if _FALLBACK.fullmatch(name) else f"data-{digest(path)}")


def note_fallback(path: Path, fallback: Path) -> None:
    """Leave word, where data was asked for, of where it is: so it is found under another path."""
    make_directory(path, 0o711)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path / _ELSEWHERE, flags, 0o644), "w") as file:
        file.write(fallback.name)


def digest(path: Path) -> str:
    """Make a short name for a path: 16 hexadecimal digits."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def check_content(data: DataDirectory) -> None:
    """Refuse a directory of somebody else's things."""
    names = {entry.name for entry in data.path.iterdir()} if data.path.exists() else set()
    # Asked last: another process may be making it.
    if data.version_file.exists():
        return
    foreign = sorted(names - _OUR_NAMES - _MOUNT_NAMES)
    if foreign:
        raise EmbeddedError(
            f"data directory {data.path} holds something else ({foreign[0]}); empty it or set "
            "TALLY_DATA_DIR to another directory"
        )


class Holder(NamedTuple):
    """Who has a data directory: its process id, and whether it serves others or only itself."""

    pid: str
    serves: bool


class InUse(EmbeddedError):
    """Another process has the data directory."""

    def __init__(self, path: Path, holder: Holder) -> None:
        super().__init__(
            f"data directory {path} is in use by process {holder.pid}; stop it or set "
            "TALLY_DATA_DIR to another directory"
        )
        self.holder = holder


def take_lock(path: Path, *, serves: bool) -> int:
    """Lock a data directory; the kernel lets go of the open file returned when this process ends.

    `serves` is for whoever lets other processes use its server. Raises InUse.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    lock = os.open(path / "lock", flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(lock)
        os.close(lock)
        raise InUse(path, holder) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n{_SERVES if serves else ''}\n".encode(), 0)
    return lock


def lock_holder(path: Path) -> Holder | None:
    """Find who has the lock of a data directory."""
    try:
        lock = os.open(path / "lock", os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(lock)
    finally:
        os.close(lock)
    return None


def _holder(lock: int) -> Holder:
    pid, _, how = os.pread(lock, 64, 0).decode(errors="replace").partition("\n")
    return Holder(pid or "unknown", how.strip() == _SERVES)
