"""A server's cluster and database: made where missing, and the settings that it runs with."""

import os
import shutil
from pathlib import Path
from typing import Final

from tally.embedded.accounts import (
    NOBODY,
    Account,
    give,
    make_private_directory,
    user_name,
)
from tally.embedded.binaries import error_line, run_program
from tally.embedded.data_directory import DataDirectory
from tally.embedded.error import EmbeddedError
from tally.embedded.socket_directory import PORT

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
    "unix_socket_permissions": "0777",  # its directory is private
    # A prepared transaction would keep its locks after its session.
    "max_prepared_transactions": "0",
    "max_connections": "200",  # several adders, displays and a test suite at once
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",  # the log is the file that the server was started with
}

# psql runs what the query returns: nothing when the database exists.
_CREATE_DATABASE: Final = f"""
SELECT 'CREATE DATABASE {DATABASE}'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
"""  # noqa: S608 - of constants


# Which roles the services' user may be: root has a user of its own for them, and lets that user
# alone reach the socket.
_SERVICE_ROLES: Final = "tally_adder,tally_display,tally_reset"


def create_cluster(data: DataDirectory, binaries: Path) -> None:
    """Run initdb beside the final path and rename, so that a cluster is whole or absent."""
    unfinished = data.path / "cluster.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    # initdb wants a user with a name. Other processes of that user lack the group, without which
    # they can't enter.
    account = data.account
    if user_name(account.uid) is None and os.geteuid() == 0:
        account = Account(NOBODY.uid, data.account.gid)
    make_private_directory(unfinished, Account(os.geteuid(), account.gid), 0o710)
    made = unfinished / "cluster"
    make_private_directory(made, account)
    result = run_program(
        [
            *(str(binaries / "initdb"), "--pgdata", str(made), "--username", SUPERUSER),
            *("--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ],
        account,
    )
    if result.returncode != 0:
        shutil.rmtree(unfinished)
        raise EmbeddedError(
            f"no database could be created in {data.path}: {error_line(result.stderr)}; "
            "correct that or set TALLY_DATA_DIR to another directory"
        )
    if os.geteuid() == 0:
        give(made, data.account)
    made.rename(data.cluster)
    unfinished.rmdir()
    _sync_directory(data.path)


def take_over_cluster(data: DataDirectory) -> None:
    """Give the server's user what an older release made under another."""
    if os.geteuid() == 0 and data.cluster.stat().st_uid == NOBODY.uid:
        give(data.cluster, data.account)


def access_files(data: DataDirectory) -> dict[str, str]:
    """Say who may log in: files of the cluster, which the server's user writes at each start.

    Root and whoever starts the server may be any role, the superuser included: PostgreSQL asks the
    kernel who they are.
    """
    rules = [f"local all {_SERVICE_ROLES} trust"] if os.geteuid() == 0 else []
    # Of a user without a name the kernel's answer is no use; but the socket's directory lets in
    # nobody else.
    named = user_name(os.geteuid()) is not None
    rules.append(f"local all all {'peer map=tally' if named else 'trust'}")
    names = {user_name(uid) for uid in (0, os.geteuid(), data.account.uid)}
    # Before PostgreSQL 16 `all` is but a name.
    roles = ("all", SUPERUSER)
    maps = [f'tally "{name}" {role}' for name in sorted(filter(None, names)) for role in roles]
    return {
        "pg_hba.conf": "".join(f"{rule}\n" for rule in rules),
        "pg_ident.conf": "".join(f"{line}\n" for line in maps),
    }


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def server_command(binaries: Path, data: DataDirectory, sockets: Path) -> list[str]:
    """Compose the command that serves the cluster on a socket in `sockets`."""
    settings = {**SETTINGS, "unix_socket_directories": f'"{sockets}"'}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries / "postgres"), "-D", str(data.cluster), *options]


def create_database(data: DataDirectory, binaries: Path, sockets: Path) -> None:
    """Create the database if it is missing, which also proves that the server answers."""
    connection = ["-h", str(sockets), "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres"]
    result = run_program(
        [str(binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *connection],
        Account(os.geteuid(), os.getegid()),
        _CREATE_DATABASE,
    )
    if result.returncode != 0:
        raise EmbeddedError(
            f"database {DATABASE} could not be created in {data.path}: "
            f"{error_line(result.stderr)}; see {data.log}"
        )
