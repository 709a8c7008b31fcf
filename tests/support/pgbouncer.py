"""PgBouncer, Debian's, in front of a server."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.distribution_postgres import AS_NOBODY, NOBODY
from tests.support.processes import wait_for
from tests.support.programs import need


@contextlib.contextmanager
def pgbouncer(socket_folder: str, mode: str, **settings: str) -> Iterator[str]:
    """The folder of its socket; it has the server's databases and its trust."""
    (program,) = need("pgbouncer")
    with tempfile.TemporaryDirectory(prefix="tally-bouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if AS_NOBODY:
            os.chown(folder, NOBODY, NOBODY)
        options = {
            "listen_addr": "",
            "unix_socket_dir": name,
            "auth_type": "any",
            "pool_mode": mode,
            "logfile": str(folder / "log"),
            **settings,
        }
        lines = [f"{key} = {value}" for key, value in options.items()]
        users = ["tally_adder", "tally_display", "tally_reset", "me"]
        databases = [f"{user} = host={socket_folder} dbname=postgres user={user}" for user in users]
        file = folder / "pgbouncer.ini"
        file.write_text("\n".join(["[databases]", *databases, "[pgbouncer]", *lines, ""]))
        file.chmod(0o644)
        with subprocess.Popen([program, file], stderr=subprocess.DEVNULL, **AS_NOBODY) as process:
            wait_for((folder / ".s.PGSQL.6432").exists)
            try:
                yield name
            finally:
                process.send_signal(signal.SIGTERM)  # at once
