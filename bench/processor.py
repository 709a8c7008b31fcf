"""What used the processor while something was measured: those we look at, and others."""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# More than this share of one core, taken by others, marks a round: it is well above what an idle
# machine's own daemons and the kernel's threads take.
DISTURBING_SHARE = 0.10


class Meter:
    """Compares the machine's processor time with that of this process and all it started."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._at, self._machine, self._ours = (
            time.monotonic(),
            machine_seconds(),
            family_seconds(os.getpid()),
        )

    def others(self) -> float:
        """The share of one core that others used since the beginning, in cores."""
        elapsed = time.monotonic() - self._at
        others = machine_seconds() - self._machine - (family_seconds(os.getpid()) - self._ours)
        return max(0.0, others / elapsed)


def machine_seconds() -> float:
    """Processor seconds that all processes used since the machine started.

    Time stolen by the hypervisor counts as others'. Interrupts do not: whose they are can't be
    told.
    """
    user, nice, system, _idle, _wait, _irq, _softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + steal) / _TICKS


def family_seconds(pid: int) -> float:
    """Processor seconds of a process and its descendants, those that ended included.

    A process that ends hands its time to the parent that waited for it, so the sum only grows.
    """
    return sum(family_times(pid))


def family_times(pid: int) -> tuple[float, float]:
    """Seconds in user and in kernel mode, own and of children waited for."""
    fields = [list(map(int, each[11:15])) for each in _family(pid).values()]
    # User, system, and the same of children: fields 14 to 17 of proc(5).
    user = sum(own + ended for own, _, ended, _ in fields)
    kernel = sum(own + ended for _, own, _, ended in fields)
    return user / _TICKS, kernel / _TICKS


def _family(root: int) -> dict[int, list[str]]:
    processes = {}
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name, in parentheses, may hold anything; what follows it is plain.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we were looking
        pid = int(entry.name)
        processes[pid] = fields
        children.setdefault(int(fields[1]), []).append(pid)
    family, wanted = {}, [root]
    while wanted:
        pid = wanted.pop()
        if pid in processes:
            family[pid] = processes[pid]
            wanted += children.get(pid, ())
    return family
