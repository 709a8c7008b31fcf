"""Processes of the rehearsal: none of them outlives it."""

import subprocess
from contextlib import nullcontext
from typing import Any

from rehearsal.namespaces import Namespace


def start(
    *command: object,
    network: Namespace | None = None,
    user: int | None = None,
    **given: Any,  # noqa: ANN401
) -> "subprocess.Popen[str]":
    """Start a command, in a network and as a user if they are given.

    The kernel ends it with the process that started it, whatever ends that (setpriv(1)).
    """
    asked = ["setpriv", "--pdeathsig=SIGKILL"]
    if user is not None:
        asked += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with network.entered() if network else nullcontext():
        return subprocess.Popen([*asked, *map(str, command)], text=True, **given)


def end(process: "subprocess.Popen[str]") -> None:
    """End it now, and wait until it has ended."""
    process.kill()
    process.wait()
