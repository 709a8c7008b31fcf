"""Signals end a command in order: SIGTERM, and a terminal that closes (SIGHUP), as Ctrl-C does.

What a command has begun is then undone or brought to its end, and what it has started is stopped,
before it ends by that same signal, so that a shell's loop around it ends too.
"""

import os
import signal
from types import FrameType
from typing import Final, NoReturn

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


def catch() -> None:
    """From now on, let each raise KeyboardInterrupt."""
    _handle(_interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Here and not by asyncio, which would wait for a write that nobody takes. A terminal that
    # closes says so more than once, while the end in order is under way; a person means it.
    if not _received or number == signal.SIGINT:
        _received.append(number)
        raise KeyboardInterrupt


def ignore() -> None:
    """Let what comes to its end do so undisturbed, whatever more is sent."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def release() -> None:
    """Let any of them end the process at once: all is done."""
    _handle(signal.SIG_DFL)


def _handle(handler: "signal._HANDLER") -> None:
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup, or a shell's &
            signal.signal(number, handler)


def end() -> NoReturn:
    """End by the signal that was received first."""
    number = _received[0] if _received else signal.SIGINT
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)  # where it is blocked
