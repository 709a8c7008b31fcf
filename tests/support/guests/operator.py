"""The operator, with OpenSSH's own clients, and the records of sessions on the bastion."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.guests.guest import Guest

SESSIONS = "/var/log/sessions"
# For ssh and what it runs, on a busy machine.
SECONDS = 60


@dataclass(frozen=True)
class Operator:
    """Somebody with the operator's key, and the machine's own key to know it by."""

    bastion: Guest
    key: Path
    folder: Path

    def options(self) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "IdentitiesOnly": "yes",
            "IdentityFile": self.key,
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.folder / "known_hosts",
        }
        return [
            *("-F", "none"),
            *(part for name, value in settings.items() for part in ("-o", f'{name}="{value}"')),
        ]

    def ssh(
        self,
        *command: str,
        options: tuple[str, ...] = (),
        user: str = "ec2-user",
        said: str = "",
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run ssh with this on its standard input."""
        return subprocess.run(
            ["ssh", *options, *self.options(), f"{user}@{self.bastion.address}", *command],
            input=said,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def shell(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """Type these lines into a shell on a terminal, and end it with the status of the last."""
        return self.ssh(options=("-tt",), said="".join(f"{line}\n" for line in (*lines, "exit")))


def records(bastion: Guest) -> dict[str, str]:
    folder = bastion.root / SESSIONS.lstrip("/")
    return {file.name: file.read_text(errors="replace") for file in folder.glob("*.log")}


@contextlib.contextmanager
def one_record(bastion: Guest) -> Iterator[list[str]]:
    """Give the name and the text of the one record that is made meanwhile."""
    before, found = records(bastion), []
    yield found
    after = records(bastion)
    (name,) = after.keys() - before.keys()
    found[:] = name, after[name]
