"""The standard streams: what a command prints, and what happens where nobody takes it."""

import os
import sys
from collections.abc import Callable
from typing import Final, TextIO, TypeVar

from tally import terminal
from tally.cli.errors import Refused

T = TypeVar("T")

# As each is opened where it was closed: to refuse what it is used for.
_CLOSED: Final = (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)


def prepare() -> None:
    """Let no file take the place of a closed stream, and nothing raw be printed."""
    for descriptor, flags in enumerate(_CLOSED):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest that is free: this one
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    terminal.protect()


def printed(write: Callable[[T], object], result: T) -> bool:
    """Write a result to stdout, and tell whether anybody still reads it; raise `Refused`."""
    try:
        write(result)
    except BrokenPipeError:
        abandon(sys.stdout)
        return False
    except OSError as error:
        abandon(sys.stdout)
        raise Refused(f"the result can't be written: {error.strerror}") from error
    return True


class Lossy:
    """A stream for what need not be seen: it loses what can't be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal was closed, or the disk is full
            abandon(self._stream)
        return len(text)

    def flush(self) -> None:
        """All is."""


def note(text: str) -> None:
    """Tell a person something; stdout is for the result, or for a service's log."""
    Lossy(sys.stderr).write(f"{text}\n")


def abandon(stream: TextIO) -> None:
    """Throw away what a stream did not take, which Python would try to write again at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
