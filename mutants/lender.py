"""Lends a PostgreSQL with a migrated template to the tests of one mutant after another."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import LENT


class Lender:
    """Starts the server, and another one when a test that failed left it changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._start()

    def _start(self) -> None:
        self._number += 1
        self._data = self._folder / f"{self._number}" / "data"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mutants.lent_server", str(self._data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        word = self._process.stdout.readline().strip()
        assert word, "the lent server did not start"
        return word

    @property
    def environment(self) -> dict[str, str]:
        return {LENT: str(self._data)}

    def clean_up(self) -> None:
        """Drop the databases that were left behind."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if self._hear() != "as before":
            self.close()
            self._start()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def lender() -> Iterator[Lender]:
    """Lend a server while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="tally-mutants-"))
    folder.chmod(0o755)
    lent = Lender(folder)
    try:
        yield lent
    finally:
        lent.close()
        shutil.rmtree(folder, ignore_errors=True)
