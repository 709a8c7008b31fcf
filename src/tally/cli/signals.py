"""Signals end a command in order: SIGTERM, and a terminal that closes (SIGHUP), as Ctrl-C does.

What a command has begun is then undone or brought to its end, and what it has started is stopped,
before it ends by that same signal, so that a shell's loop around it ends too.
"""

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

T = TypeVar("T")

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS: Final = 0.001
_received: list[int] = []


def catch() -> None:
    """From now on, let each raise KeyboardInterrupt."""
    sys.unraisablehook = _unraisable
    _handle(_interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # A terminal that closes says so more than once, while the end in order is under way; a person
    # who says it again means it.
    if not _received or number == signal.SIGINT:
        _received.append(number)
        raise KeyboardInterrupt


def _unraisable(what: "sys.UnraisableHookArgs") -> None:
    """Send a signal again, soon, that came where nothing can be raised, as in a `__del__`."""
    if _received and what.exc_type is KeyboardInterrupt:
        signal.signal(signal.SIGALRM, _again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(what)


def _again(number: int, frame: FrameType | None) -> None:
    os.kill(os.getpid(), _received.pop())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, which a signal cancels; raise KeyboardInterrupt then.

    Between two steps of the event loop, where nothing is half-done: asyncpg's compiled code does
    not survive an exception at any place. What a library would log meanwhile, as of a connection
    that a signal closes midway, is for a service's log: a command says in one line what failed.
    """
    import asyncio
    import logging

    logging.lastResort = logging.NullHandler()

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop, number, task)
        return await work

    def stop(number: int, task: "asyncio.Task[Any] | None") -> None:
        if not _received or number == signal.SIGINT:
            _received.append(number)
            if task is not None:
                task.cancel()

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        catch()  # the loop's end took its own handlers away


def ignore() -> None:
    """Let what comes to its end do so undisturbed, whatever more is sent."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def release() -> None:
    """Let any of them end the process at once: all is done."""
    _handle(signal.SIG_DFL)


def _handle(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup, or a shell's &
            signal.signal(number, handler)


def end() -> NoReturn:
    """End by the signal that was received first."""
    number = _received[0] if _received else signal.SIGINT
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)  # where it is blocked
