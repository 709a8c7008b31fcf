"""Files that commands write: whole, or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tally.cli.errors import Refused, Unusable
from tally.cli.streams import abandon


class Output:
    """Where a command's bytes go; what can't be written is one line."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, data: bytes) -> None:
        """Write at once; raises `Refused`, and `BrokenPipeError` where nobody reads any more."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._file.flush()
        except OSError as error:
            if self._file is sys.stdout.buffer:
                abandon(sys.stdout)
            if isinstance(error, BrokenPipeError):
                raise
            raise Refused(f"{self._name} can't be written: {error.strerror}") from error


@contextmanager
def written(file: str, *, private: bool = False) -> Iterator[Output]:
    """Give what is written the file's name once it is whole; `-` is stdout.

    `private` lets nobody but the owner read it. Raises `Unusable` where no file can be made.
    """
    if file == "-":
        yield Output(sys.stdout.buffer, "stdout")
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
            yield Output(device, file)
        return
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as made:
            yield Output(made, file)
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
