"""The user that PostgreSQL runs as, and directories that this user can enter."""

import os
import stat
from pathlib import Path
from typing import NamedTuple


class Account(NamedTuple):
    """The numeric user and group that PostgreSQL runs as."""

    uid: int
    gid: int


# For root. The traditional "nobody": initdb refuses a user id without an entry in the user
# database, this one has an entry everywhere, and so no user needs to be created.
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
    for parent in reversed(missing):
        parent.mkdir()
        parent.chmod(0o755)
    path.mkdir()
    path.chmod(mode)


def make_private_directory(path: Path, account: Account) -> None:
    """Make a directory that nobody but the account (and root) enters."""
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
