"""An HAProxy in a network, with sockets that listen before it runs: nobody has to wait for it."""

import os
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress

from rehearsal.namespaces import Namespace
from rehearsal.process import end, start


class HAProxy:
    """Runs until it is closed, or this process ends.

    Its configuration is in `text`, after a section `global` of its own. `listeners` are handed
    over; the text names each as `fd@${NAME}`. Raises RuntimeError for what it does not understand.
    """

    def __init__(
        self, text: str, listeners: Mapping[str, socket.socket], network: Namespace
    ) -> None:
        asked = socket.socket(socket.AF_UNIX)
        asked.bind("")  # a name of the kernel's choice, without a file; of this network only
        asked.listen()
        self._asked = asked.getsockname()
        sockets = {**listeners, "ASKED": asked}
        with tempfile.TemporaryFile("w+") as file, tempfile.TemporaryFile("w+") as said:
            file.write(
                f"global\nstats socket fd@${{ASKED}} level admin\ntune.bufsize 65536\n{text}"
            )
            file.flush()
            self._process = start(
                *("haproxy", "-db", "-f", f"/proc/{os.getpid()}/fd/{file.fileno()}"),
                network=network,
                env={**os.environ, **{name: str(it.fileno()) for name, it in sockets.items()}},
                pass_fds=[it.fileno() for it in sockets.values()],
                stderr=said,
            )
            for it in sockets.values():
                it.close()
            if not self.ask("show info"):
                self.close()
                said.seek(0)
                raise RuntimeError(f"HAProxy ended: {said.read()}")

    def ask(self, command: str) -> str:
        """Give its answer to a command of its management guide."""
        with socket.socket(socket.AF_UNIX) as client, suppress(ConnectionResetError):
            client.connect(self._asked)
            client.sendall(f"{command}\n".encode())
            with client.makefile() as answer:
                return answer.read()
        return ""

    def servers(self) -> dict[tuple[str, str], bool]:
        """Whether it finds each server up, by its backend's name and its own."""
        head, *rows = [it.split(",") for it in self.ask("show stat -1 4 -1").splitlines() if it]
        status = head.index("status")
        return {(row[0], row[1]): row[status].startswith("UP") for row in rows}

    def close(self) -> None:
        end(self._process)
