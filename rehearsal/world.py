"""A world of its own for all that a rehearsal starts: processes, mounts, temporary files.

The kernel ends it with the first process in it, and ends that with the one that waits for it
outside: after SIGKILL too, nothing runs on, and no file is left (pid_namespaces(7)).
"""

import ctypes
import os
import signal
import sys
import tempfile
from types import FrameType
from typing import Final

from rehearsal.namespaces import call

_NEW_MOUNTS: Final = 0x00020000  # CLONE_NEWNS of <sched.h>
_NEW_PROCESSES: Final = 0x20000000  # CLONE_NEWPID
_PRIVATE: Final = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE of <sys/mount.h>
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
# It is there on every Linux, and nothing of ours is in it (Filesystem Hierarchy Standard, /mnt).
_FILES: Final = b"/mnt"


def enter() -> None:
    """Go on in a new world; who called waits outside, and exits as the inner process does."""
    call("unshare", _NEW_MOUNTS | _NEW_PROCESSES)
    inner = os.fork()
    if inner:
        sys.exit(_wait(inner))
    call("prctl", _DIE_WITH_PARENT, signal.SIGKILL)
    os.setpgrp()  # a terminal's Ctrl-C comes once, from the one that waits
    none = ctypes.c_char_p()
    call("mount", none, b"/", none, _PRIVATE, none)
    call("mount", b"proc", b"/proc", b"proc", 0, none)
    call("mount", b"tmpfs", _FILES, b"tmpfs", 0, b"mode=0755")
    tempfile.tempdir = os.environ["TMPDIR"] = _FILES.decode()


def _wait(inner: int) -> int:
    """Hand on what it is told to the one inside, until that ends; give its status."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        os.kill(inner, number)

    for it in (signal.SIGINT, signal.SIGTERM):
        signal.signal(it, hand_on)
    _, status = os.waitpid(inner, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
