"""Turns a new process into PostgreSQL: drops root, ties its life to the launcher's, writes its
files, execs.

Run as a script, by path. A process of its own does this because Python code between fork and exec
can deadlock in a program with threads, and because Linux forgets the death signal when the user
id changes, so the two must happen in this order.
"""

import json
import os
import signal
import sys

# Imported here, not where it is used: without root, Python's own directory may be out of reach.
try:
    import ctypes
except ModuleNotFoundError:  # optional in a Python build
    ctypes = None  # type: ignore[assignment]

PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>


def drop_root(uid: int, gid: int) -> None:
    """Become the given user for good; an ordinary user stays as he is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def die_with(parent: int) -> None:
    """Ask Linux for a fast shutdown (SIGINT) of this process when its parent dies.

    Elsewhere, and in a Python built without ctypes, a server outlives a killed launcher and the
    next start takes it over.
    """
    if sys.platform != "linux" or ctypes is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the launcher died while PostgreSQL was starting")


def open_empty(file: str) -> int:
    """Open a file that starts empty, by the server's own user: root must not follow his links."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
    return os.open(file, flags, 0o600)


def write(file: str, text: str) -> None:
    """Write a file anew."""
    with os.fdopen(open_empty(file), "w", encoding="utf-8") as opened:
        opened.write(text)


def log_to(file: str) -> None:
    """Send stdout and stderr to a file."""
    descriptor = open_empty(file)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def main(parent: str, uid: str, gid: str, log: str, files: str, *command: str) -> None:
    """Exec the command; on failure say why on stderr and exit with 1.

    `files` are texts by their paths, as JSON.
    """
    try:
        drop_root(int(uid), int(gid))
        os.umask(0o077)
        die_with(int(parent))
        for file, text in json.loads(files).items():
            write(file, text)
        log_to(log)
        os.execv(command[0], command)  # noqa: S606 - becoming this program is the purpose
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
