"""Keeps the embedded server running: starts it again should it end by itself."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from tally.embedded import postgres
from tally.embedded.sharing import start_serving

# Between two tries to start a server that does not start.
_RETRY_SECONDS: Final = 1.0


class Supervisor:
    """A server that runs until `stop`. Its URLs stay the same from start to start."""

    server: postgres.Server
    """The server that runs, or ran last."""

    def __init__(self, directory: Path, notice: Callable[[str], None]) -> None:
        """Start the server of a data directory; raises EmbeddedError.

        `notice` gets, in another thread, a line for each end and for each start that fails.
        """
        self.server = start_serving(directory, notice)
        self.starts = 1
        self._directory = directory
        self._notice = notice
        self._stopping = threading.Event()
        self._restarting = threading.Lock()
        self._started = threading.Condition()
        self._thread = threading.Thread(
            target=self._supervise, name="postgres-supervisor", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server for good. May be repeated."""
        self._stopping.set()
        with self._restarting:  # else the server that is being started would be left running
            self.server.stop()
        self._thread.join()

    def wait_for_restart(self, starts: int, seconds: float) -> None:
        """Block until there were more than `starts` starts; raises TimeoutError."""
        with self._started:
            if not self._started.wait_for(lambda: self.starts > starts, seconds):
                raise TimeoutError(f"PostgreSQL was not started again within {seconds:.0f} s")

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self.server.wait()
            with self._restarting:
                if not self._stopping.is_set():
                    self._restart()

    def _restart(self) -> None:
        self._notice("PostgreSQL ended; starting it again")
        self.server.stop()  # lets go of the directory
        try:
            server = postgres.start(self._directory, self._notice)
        except postgres.EmbeddedError as error:
            self._notice(str(error))
            self._stopping.wait(_RETRY_SECONDS)
            return
        with self._started:
            self.server = server
            self.starts += 1
            self._started.notify_all()
