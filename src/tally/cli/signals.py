"""Signals end a command in order: SIGTERM, and a terminal that closes (SIGHUP), as Ctrl-C does.

What a command has begun is then undone or brought to its end, and what it has started is stopped,
before it ends by that same signal, so that a shell's loop around it ends too.
"""

import os
import signal
from types import FrameType
from typing import Final, NoReturn

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


def catch() -> None:
    """From now on, let these signals raise KeyboardInterrupt, as SIGINT does."""
    handlers = {signal.SIGINT: signal.default_int_handler} | dict.fromkeys(_ENDING, _interrupt)
    for number, handler in handlers.items():
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup, or a shell's &
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # A terminal that closes says so more than once; the end in order is under way.
    if not _received:
        _received.append(number)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt
        # asyncio has a handler of its own, which cancels what is under way.
        signal.raise_signal(signal.SIGINT)


def ignore() -> None:
    """Let what comes to its end do so undisturbed, whatever more is sent."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def release() -> None:
    """Let any of them end the process at once: all is done."""
    for number in (signal.SIGINT, *_ENDING):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def end() -> NoReturn:
    """End by the signal that was received."""
    number = _received[0] if _received else signal.SIGINT
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)  # where it is blocked
