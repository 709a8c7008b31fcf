"""Keeps the embedded PostgreSQL running from a process of its own, which stays root.

Whoever asks for it may give up root, and could then neither start PostgreSQL again nor stop it. It
ends with the process that asked, however that ends.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from tally.embedded.error import EmbeddedError
from tally.embedded.postgres import Server
from tally.embedded.supervisor import Supervisor

# More than a server takes to shut down at most.
_STOP_SECONDS: Final = 30.0
_STOP: Final = "stop"


class Keeper:
    """The process, and the server it keeps; leaving its `with` block stops both."""

    server: Server

    def __init__(self, directory: Path) -> None:
        """Start the server of a data directory; raises EmbeddedError. Notices go to stderr."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            [sys.executable, "-m", __name__, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is for the one that asked
        )
        said: dict[str, Any] = {"error": "the process that keeps PostgreSQL ended at once"}
        try:
            line = self._process.stdout.readline() if self._process.stdout else ""
            said = json.loads(line) if line else said
        finally:
            if "error" in said:  # or this process is told to end
                self._process.communicate(_STOP, timeout=_STOP_SECONDS)
        if "error" in said:
            raise EmbeddedError(said["error"])
        self.server = Server(Path(said["directory"]), Path(said["sockets"]), said["pid"], None)
        self._stopping = False
        self._watcher = threading.Thread(target=self._watch, name="keeper-watcher", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        """Ask this process to stop should the keeper end by itself: nobody could start another."""
        self._process.wait()
        if not self._stopping:
            _notice("the process that keeps PostgreSQL ended; stopping")
            os.kill(os.getpid(), signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server for good, and the process with it.

        Raises EmbeddedError if it ended before.
        """
        self._stopping = True
        ended = self._process.poll() is not None
        self._process.communicate(_STOP, timeout=_STOP_SECONDS)
        self._watcher.join()
        if ended:
            raise EmbeddedError("the process that keeps PostgreSQL ended by itself; start again")


def main(directory: str) -> None:
    """Keep the server until stdin says to stop it or ends."""
    # A service manager may ask a whole group to stop: services then still need the database.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Which a shell lets its background ignore, and `_listen` needs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt):  # by `_listen`, maybe at once; what was begun is stopped
        threading.Thread(target=_listen, name="keeper-listener", daemon=True).start()
        _keep(Path(directory))


def _keep(directory: Path) -> None:
    try:
        with Supervisor(directory, _notice) as supervisor:
            server = supervisor.server
            _say(directory=str(server.directory), sockets=str(server.sockets), pid=server.pid)
            while True:
                signal.pause()
    except EmbeddedError as error:
        # There is nothing to stop, which the parent still asks for.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say(error=str(error))


def _listen() -> None:
    if sys.stdin.read() == _STOP:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return
    # The parent died. The lock must be free at once, for whoever starts again; the kernel shuts
    # PostgreSQL down with this process. A death signal would not come: a parent that gave up root
    # may send none to root (prctl(2), kill(2)).
    os._exit(1)


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)  # noqa: T201 - to the parent


def _notice(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - to a person


if __name__ == "__main__":
    main(*sys.argv[1:])
