"""Many viewers of a display's event stream, in a process of their own.

Run as `python -m bench.viewers PORT NUMBER`. Writes `ready` once every viewer has had its first
event. Then reads lines `MOMENT COUNT`, each an add that was acknowledged at a moment of the
monotonic clock (in seconds, the same in all processes) with the count it led to. At the end of its
input, writes in JSON how many milliseconds later each viewer saw each add, in percentiles.
"""

import asyncio
import json
import resource
import sys
from bisect import bisect_left
from time import monotonic

from bench.load.pgbench import percentiles
from bench.rig import HOST
from bench.stand import EVENTS

# Viewers that connect at once: fewer than the server lets wait.
_AT_ONCE = 100
_SPARE_FILES = 100
# Longer than the display may take to send a change.
_LAST_SECONDS = 2.0


class Viewer:
    """One open stream, and when it said which count."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.counts: list[int] = []
        self.moments: list[float] = []
        self.first = asyncio.Event()

    async def watch(self, port: int) -> None:
        """Note every event until cancelled; raises EOFError if the stream ends."""
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        async for line in reader:
            if line.startswith(b"data: "):
                self.moments.append(monotonic())
                self.counts.append(json.loads(line[6:])["count"])
                self.first.set()
        raise EOFError("a stream ended")

    def seen(self, count: int) -> float:
        """The moment at which a count, or one after it, was seen; raises IndexError if never."""
        return self.moments[bisect_left(self.counts, count)]


async def main(port: int, number: int) -> None:
    """Open the streams, read the adds, write how late they were seen."""
    _allow_files(number + _SPARE_FILES)
    viewers = [Viewer() for _ in range(number)]
    async with asyncio.TaskGroup() as group:
        tasks = []
        for begin in range(0, number, _AT_ONCE):
            some = viewers[begin : begin + _AT_ONCE]
            tasks += [group.create_task(viewer.watch(port)) for viewer in some]
            for viewer in some:
                await viewer.first.wait()
        print("ready", flush=True)
        lines = await asyncio.to_thread(sys.stdin.readlines)
        await asyncio.sleep(_LAST_SECONDS)
        for task in tasks:
            task.cancel()
    late = []
    for line in lines:
        moment, count = line.split()
        late += [(viewer.seen(int(count)) - float(moment)) * 1e3 for viewer in viewers]
    print(json.dumps(percentiles(late) if late else {}), flush=True)


def _allow_files(number: int) -> None:
    """Raise this process's limit of open files where it is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
