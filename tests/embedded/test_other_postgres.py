"""Any PostgreSQL from 14 on will do: here the distribution's, reached by TALLY_DATABASE_URL."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

OLDEST = 14
NOBODY = 65534
# PostgreSQL refuses to run as root.
AS_NOBODY: dict[str, Any] = (
    {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
)


def installed() -> list[Path]:
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return sorted(path.parent for path in found if int(path.parts[-3]) >= OLDEST)


@contextlib.contextmanager
def serving(folder: Path | None = None) -> Iterator[str]:
    """The address of a server of the distribution's, on a new cluster unless one is given."""
    binaries = installed()[0]
    with contextlib.ExitStack() as stack:
        if folder is None:
            new = tempfile.TemporaryDirectory(prefix="tally-other-")
            folder = Path(stack.enter_context(new))
            if AS_NOBODY:
                os.chown(folder, NOBODY, NOBODY)
            subprocess.run(
                [
                    binaries / "initdb",
                    "-D",
                    folder / "data",
                    "-U",
                    "me",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                ],
                check=True,
                capture_output=True,
                cwd="/",
                **AS_NOBODY,
            )
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-k", folder, "-h", ""],
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            **AS_NOBODY,
        )
        assert server.stderr is not None
        assert any("ready to accept" in line for line in server.stderr)
        yield f"postgresql://me@/postgres?host={folder}"
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)


@pytest.fixture
def other_postgres() -> Iterator[str]:
    if not installed():
        pytest.skip("no PostgreSQL of the distribution's is installed: apt install postgresql")
    with serving() as url:
        yield url


def test_everything_works_on_it(other_postgres: str, tally_up) -> None:
    running = tally_up(TALLY_DATABASE_URL=other_postgres)
    assert not (running.folder / "data").exists(), "nothing embedded is started"
    with httpx.Client(base_url=running.url) as http:
        entries, resets = "/adder_service/entries", "/reset_service/resets"
        key = {"Idempotency-Key": "a"}
        for _ in range(2):
            added = http.post(entries, json={"values": ["0.1", 0.2]}, headers=key)
            assert added.json()["sum"] == "0.3"
        made = http.post(resets).json()
        http.post(entries, json={"value": 5})
        assert http.delete(f"{resets}/{made['id']}").status_code == 200
        assert http.get("/display_service/total").json()["sum"] == "5.3"
        assert http.get("/display_service").status_code == 200
        assert http.get("/display_service/entries.csv").text.count("\n") == 4
    audit = subprocess.run(
        [sys.executable, "-m", "tally", "audit"],
        env={**os.environ, "TALLY_DATABASE_URL": other_postgres},
        capture_output=True,
        text=True,
        check=True,
    )
    assert audit.stdout == "clean: 3 entries checked\n"
    assert running.stop() == 0
