"""The users that root hands its work to, and directories that they can enter."""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Account(NamedTuple):
    """A numeric user and group."""

    uid: int
    gid: int


# For root: PostgreSQL runs as one of these and the services as the other, so that neither shares a
# user with any other process. Nothing else has these ids: systemd leaves 65520 to 65533 unused
# (systemd.io/UIDS-GIDS), and Debian reserves them (Policy 9.2.2). They need no entry in the user
# database, and so no user needs to be created.
SERVER = Account(65520, 65520)
SERVICES = Account(65521, 65521)
# But initdb refuses a user id without an entry, and this one has one everywhere. Older releases
# ran PostgreSQL as this user.
NOBODY = Account(65534, 65534)


def first_closed(path: Path, account: Account) -> Path | None:
    """Find the first existing directory, from the root down to `path`, closed to the account."""
    for directory in (*reversed(path.parents), path):
        try:
            status = directory.stat()
        except FileNotFoundError:
            return None  # whatever is missing will be made with a fitting mode
        if not stat.S_ISDIR(status.st_mode):
            return None  # nothing to enter; its use will say so
        if not _may_enter(status, account):
            return directory
    return None


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def make_directory(path: Path, mode: int) -> None:
    """Make a directory and its missing parents with exact modes; leave existing ones untouched."""
    if path.is_dir():
        return
    missing = [parent for parent in path.parents if not parent.exists()]
    for directory, its_mode in (*((it, 0o755) for it in reversed(missing)), (path, mode)):
        with suppress(FileExistsError):  # another process was quicker
            directory.mkdir()
            directory.chmod(its_mode)


def make_private_directory(path: Path, account: Account, mode: int = 0o700) -> None:
    """Make a directory that nobody but the account (and root) enters, or with 0710 its group."""
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    path.chmod(mode)


def give(tree: Path, account: Account) -> None:
    """Give a directory and all in it to the account; follows no link."""
    for _, directories, files, descriptor in os.fwalk(tree):
        for name in (*directories, *files):
            os.chown(name, *account, dir_fd=descriptor, follow_symlinks=False)
    os.chown(tree, *account, follow_symlinks=False)


def user_name(uid: int) -> str | None:
    """Look up a user's name in the user database."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def drop_root() -> None:
    """Make this process, if it is root's, the services' for good."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setgid(SERVICES.gid)
    os.setuid(SERVICES.uid)
    # Root's home is closed now, and asyncpg would look into it for passwords and certificates.
    os.environ["HOME"] = "/nonexistent"
