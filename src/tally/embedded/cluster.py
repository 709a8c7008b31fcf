"""A server's cluster and database: made where missing, and the settings that it runs with."""

import os
import shutil
from pathlib import Path
from typing import Final

from tally.embedded.accounts import make_private_directory
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
    "unix_socket_permissions": "0700",
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


def create_cluster(data: DataDirectory, binaries: Path) -> None:
    """Run initdb beside the final path and rename, so that a cluster is whole or absent."""
    unfinished = data.path / "cluster.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    make_private_directory(unfinished, data.account)
    result = run_program(
        [
            *(str(binaries / "initdb"), "--pgdata", str(unfinished), "--username", SUPERUSER),
            *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ],
        data.account,
    )
    if result.returncode != 0:
        shutil.rmtree(unfinished)
        raise EmbeddedError(
            f"no database could be created in {data.path}: {error_line(result.stderr)}; "
            "correct that or set TALLY_DATA_DIR to another directory"
        )
    unfinished.rename(data.cluster)
    _sync_directory(data.path)


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
        data.account,
        _CREATE_DATABASE,
    )
    if result.returncode != 0:
        raise EmbeddedError(
            f"database {DATABASE} could not be created in {data.path}: "
            f"{error_line(result.stderr)}; see {data.log}"
        )
