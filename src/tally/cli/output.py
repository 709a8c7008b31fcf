"""Files that commands write: whole, or not at all."""

import os
import select
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tally.cli.errors import Refused, Unusable
from tally.cli.streams import abandon

STDOUT: Final = 1


class Output:
    """Where a command's bytes go; what can't be written is one line."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        # What a pipe that takes anything takes at once, so that nobody is kept waiting by more. A
        # file takes all.
        self._piece = None if stat.S_ISREG(os.fstat(descriptor).st_mode) else select.PIPE_BUF

    async def write(self, data: bytes) -> None:
        """Write all; raises `Refused`, and `BrokenPipeError` where nobody reads any more."""
        rest = memoryview(data)
        try:
            while rest:
                if self._piece is not None:
                    await self._taken()
                rest = rest[os.write(self._descriptor, rest[: self._piece]) :]
        except OSError as error:
            if self._descriptor == STDOUT:
                abandon(sys.stdout)
            if isinstance(error, BrokenPipeError):
                raise
            raise Refused(f"{self._name} can't be written: {error.strerror}") from error

    async def _taken(self) -> None:
        """Wait until something is taken: the loop goes on, and hears of signals."""
        import asyncio

        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_writer(self._descriptor, ready.set)
        except PermissionError:  # a device that never lets anybody wait
            return
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._descriptor)


@contextmanager
def written(file: str, *, private: bool = False) -> Iterator[Output]:
    """Give what is written the file's name once it is whole; `-` is stdout.

    `private` lets nobody but the owner read it. Raises `Unusable` where no file can be made.
    """
    if file == "-":
        yield Output(STDOUT, "stdout")
        return
    path = Path(os.path.realpath(file))  # a link stays one
    try:
        # A device or a pipe is written to as it is.
        device = path.open("wb", buffering=0) if path.exists() and not path.is_file() else None
        if device is None:
            descriptor, temporary = tempfile.mkstemp(prefix=".tally-", dir=path.parent)
    except OSError as error:
        raise Unusable(f"{file} can't be written: {error.strerror}") from error
    if device is not None:
        with device:
            yield Output(device.fileno(), file)
        return
    try:
        with os.fdopen(descriptor, "wb", buffering=0):
            yield Output(descriptor, file)
            if not private:
                os.fchmod(descriptor, _mode(path))
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync(path.parent)


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or a new one's."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
