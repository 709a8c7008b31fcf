"""PostgreSQL's own programs, as `pg_dump`: run, read and ended."""

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, BinaryIO


class ClientProgram:
    """A program that runs; `stdout` is read without keeping the event loop waiting."""

    def __init__(self, process: "subprocess.Popen[bytes]", complaints: IO[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the types
        self._process = process
        self._complaints = complaints
        self._stdout = process.stdout

    async def read(self, size: int) -> bytes:
        """Read what there is, at most `size` bytes; none at the end."""
        return await asyncio.to_thread(self._stdout.read1, size)  # type: ignore[attr-defined]

    async def lines(self, size: int) -> list[bytes]:
        """Read whole lines, `size` bytes or a little more; none at the end."""
        return await asyncio.to_thread(self._stdout.readlines, size)

    async def failure(self) -> str | None:
        """Wait for the end; say in one line what failed."""
        if await asyncio.to_thread(self._process.wait) == 0:
            return None
        self._complaints.seek(0)
        return _first_line(self._complaints.read())


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], stdin: BinaryIO | int = subprocess.DEVNULL
) -> Iterator[ClientProgram]:
    """Run a program for the block, and end it with it.

    Not with asyncio's processes: the thread that waits there warns on stderr if the program is
    done at the moment that it is killed.
    """
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603 - PostgreSQL's own, found by the caller
            command, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=complaints
        ) as process,
    ):
        try:
            yield ClientProgram(process, complaints)
        finally:
            process.kill()


def _first_line(complaint: bytes) -> str:
    """Pick the first error that one of PostgreSQL's programs printed."""
    lines = complaint.decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if "error:" in line]
    line = (errors or lines or ["it gave no reason"])[0]
    return line.partition("error: ")[2] or line
