"""Network namespaces without names: only open files hold them.

So they end with the process, whatever ends it: the kernel closes its files. Nothing is left to be
removed, and two rehearsals can't meet.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raise what it complained of."""
    if getattr(_libc, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    """A network of its own. Only the calling thread ever enters it."""

    def __init__(self) -> None:
        home = _here()
        try:
            call("unshare", _NEW_NETWORK)
            self.file = _here()
            call("setns", home, _NEW_NETWORK)
        finally:
            os.close(home)

    @property
    def path(self) -> str:
        """Names it to other programs, as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.file}"

    def close(self) -> None:
        os.close(self.file)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What is opened or started meanwhile belongs to the namespace."""
        home = _here()
        try:
            call("setns", self.file, _NEW_NETWORK)
            try:
                yield
            finally:
                call("setns", home, _NEW_NETWORK)
        finally:
            os.close(home)

    def run(self, *command: str, given: str) -> None:
        """Run a command that reads its orders, or raise what it complained of."""
        with self.entered():
            done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}\n{given}")

    def set(self, **values: int) -> None:
        """Set what is below /proc/sys/net/ipv4, with two underscores for a folder."""
        with self.entered():
            for name, value in values.items():
                path = f"/proc/sys/net/ipv4/{name.replace('__', '/')}"
                with open(path, "w") as file:
                    file.write(str(value))
