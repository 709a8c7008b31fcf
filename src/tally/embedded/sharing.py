"""Several processes on one data directory: they share a server that serves, and wait for others."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tally.embedded.postgres import InUse, Server, running, start

_POLL_SECONDS: Final = 0.05
# A short command's end is not worth a word.
_SAY_AFTER_SECONDS: Final = 0.5
# More than it takes to write two lines, of a process that has a lock.
_HOLDER_SECONDS: Final = 1.0


def start_serving(directory: Path, notice: Callable[[str], None]) -> Server:
    """Start a server for others, once a command's own has ended; raises EmbeddedError."""
    waiting = _Waiting(notice)
    while True:
        try:
            return start(directory, notice)
        except InUse as error:
            # A holder that serves will not end; but one that has just begun may not yet have said
            # that it does not.
            if error.holder.serves and waiting.since(_HOLDER_SECONDS):
                raise
            waiting.wait(error, silent=error.holder.serves)


def attach_or_start(
    directory: Path, notice: Callable[[str], None], *, binaries: Path | None = None
) -> Server:
    """Attach to the server that serves others; else start one, after those that serve nobody.

    Raises EmbeddedError.
    """
    waiting = _Waiting(notice)
    while True:
        server = running(directory)
        if server is not None:
            return server
        try:
            return start(directory, notice, serves=False, binaries=binaries)
        except InUse as error:
            waiting.wait(error)


class _Waiting:
    """Waits for another process to let go of a data directory, and says so once."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._began = time.monotonic()
        self._said = False

    def since(self, seconds: float) -> bool:
        return time.monotonic() - self._began > seconds

    def wait(self, error: InUse, *, silent: bool = False) -> None:
        if not self._said and not silent and self.since(_SAY_AFTER_SECONDS):
            self._said = True
            self._notice(f"waiting for process {error.holder.pid}, which uses the data directory")
        time.sleep(_POLL_SECONDS)
