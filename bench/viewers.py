"""Many viewers of a display's event stream, in a process of their own.

Run as `python -m bench.viewers PORT NUMBER`. Writes `ready` once every viewer has had its first
event. Then reads lines `MOMENT COUNT`, each an add that was acknowledged at a moment of the
monotonic clock (in seconds, the same in all processes) with the count it led to. At the end of its
input, writes in JSON how many milliseconds later each viewer saw each add, in percentiles.
"""

import json
import resource
import selectors
import socket
import sys
from bisect import bisect_left
from time import monotonic

from bench.load.pgbench import percentiles
from bench.process import HOST
from bench.runner import EVENTS

# Viewers that connect at once: fewer than the server lets wait.
_AT_ONCE = 100
_SPARE_FILES = 100
_PIECE = 65536
# Longer than the display may take to send a change.
_LAST_SECONDS = 2.0
# What an event without news carries.
_HEARTBEAT = b"data: {}"


class Viewer:
    """One open stream, and what came of it when.

    Pieces are only kept while the streams run, and read in the end: a viewer must cost less than
    what serves it, since they share the machine.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        self.pieces: list[tuple[float, bytes]] = []

    def receive(self) -> None:
        """Keep what there is; raises EOFError if the stream has ended."""
        piece = self.socket.recv(_PIECE)
        if not piece:
            raise EOFError("a stream ended")
        self.pieces.append((monotonic(), piece))

    @property
    def has_begun(self) -> bool:
        return any(b"data: " in piece for _, piece in self.pieces)

    def counts(self) -> tuple[list[int], list[float]]:
        """The counts that were seen, and when the last piece of each came."""
        counts, moments = [], []
        rest = b""
        for moment, piece in self.pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and line != _HEARTBEAT:
                    counts.append(json.loads(line[6:])["count"])
                    moments.append(moment)
        return counts, moments


def main(port: int, number: int) -> None:
    """Open the streams, read the adds, write how late they were seen."""
    _allow_files(number + _SPARE_FILES)
    selector = selectors.DefaultSelector()
    viewers: list[Viewer] = []
    while len(viewers) < number:
        some = [Viewer(port) for _ in range(min(_AT_ONCE, number - len(viewers)))]
        for viewer in some:
            selector.register(viewer.socket, selectors.EVENT_READ, viewer.receive)
        viewers += some
        while not all(viewer.has_begun for viewer in some):
            _receive(selector)
    print("ready", flush=True)
    said = bytearray()
    ends = float("inf")

    def listen() -> None:
        nonlocal ends
        piece = sys.stdin.buffer.read1()  # type: ignore[union-attr]  # a BufferedReader
        said.extend(piece)
        if not piece:
            selector.unregister(sys.stdin)
            ends = monotonic() + _LAST_SECONDS

    selector.register(sys.stdin, selectors.EVENT_READ, listen)
    while monotonic() < ends:
        _receive(selector)
    print(json.dumps(percentiles(_late(viewers, said.decode())) if said else {}), flush=True)


def _receive(selector: selectors.BaseSelector) -> None:
    for key, _ in selector.select(timeout=0.1):
        key.data()


def _late(viewers: list[Viewer], said: str) -> list[float]:
    """Milliseconds from each add to each viewer's seeing it, or one after it."""
    adds = [(float(moment), int(count)) for moment, count in map(str.split, said.splitlines())]
    late = []
    for viewer in viewers:
        counts, moments = viewer.counts()
        # Raises IndexError where an add was never seen.
        late += [(moments[bisect_left(counts, count)] - at) * 1e3 for at, count in adds]
    return late


def _allow_files(number: int) -> None:
    """Raise this process's limit of open files where it is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
