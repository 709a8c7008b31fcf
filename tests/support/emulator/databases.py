"""Real databases behind emulated ones: what restores one copies it, and a task that reads it runs.

A test describes them in a folder, in a file each, as a `Real`. Without a file of its name an
emulated database has nothing behind it.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.postgres import copy_ledger, execute, with_database

FOLDER = Path()


@dataclass(frozen=True)
class Real:
    """A database by its URLs, its owner's and the operator's, and what becomes of it restored."""

    owner: str
    operator: str
    # What its backup lacks, or has wrong: statements that a restored copy is given.
    spoilt: list[str] = field(default_factory=list)
    status: str = "available"
    # That of a restored copy, for good.
    status_of_copy: str = "available"

    @classmethod
    def behind(cls, name: str) -> "Real | None":
        file = FOLDER / name
        return cls(**json.loads(file.read_text())) if file.is_file() else None

    def put_behind(self, name: str, folder: Path | None = None) -> None:
        folder = folder or FOLDER
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(asdict(self)))


def restore(source: str, target: str) -> None:
    """Copy what stands behind one to behind another."""
    real = Real.behind(source)
    if real is None:
        return
    old = urlsplit(real.owner).path[1:]
    new = f"{old}_restored"
    copy_ledger(with_database(real.owner, "postgres"), old, new)
    copy = replace(
        real,
        owner=with_database(real.owner, new),
        operator=with_database(real.operator, new),
        status=real.status_of_copy,
    )
    execute(copy.owner, *real.spoilt)
    copy.put_behind(target)


def delete(name: str) -> None:
    """Delete what stands behind one."""
    if real := Real.behind(name):
        (FOLDER / name).unlink()
        database = urlsplit(real.owner).path[1:]
        execute(with_database(real.owner, "postgres"), f"DROP DATABASE {database} WITH (FORCE)")


def run(command: list[str], environment: dict[str, str]) -> tuple[int, str] | None:
    """Run a task's command if a real database stands behind its URL: its status, and its output."""
    host = urlsplit(environment.get("TALLY_DATABASE_URL", "")).hostname or ""
    real = Real.behind(host.partition(".")[0])
    if real is None:
        return None
    done = subprocess.run(
        [sys.executable, "-m", "tally", *command],
        env={"PATH": os.environ["PATH"], "TALLY_DATABASE_URL": real.operator},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout
