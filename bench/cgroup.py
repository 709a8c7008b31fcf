"""Holds a process to a share of a processor, as a container's limit would."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.process import Missing

# The kernel's own default, and what container runtimes use: a share is given out every 100 ms.
_PERIOD_MICROSECONDS = 100_000
_V1 = Path("/sys/fs/cgroup/cpu")
_V2 = Path("/sys/fs/cgroup")


@contextmanager
def held_to(processors: float, pid: int) -> Iterator[None]:
    """Hold a process, and what it starts, to so many processors for the block.

    Raises `Missing` where this user or this kernel can't.
    """
    quota = int(processors * _PERIOD_MICROSECONDS)
    unified = (_V2 / "cgroup.controllers").exists()
    parent = _V2 if unified else _V1
    group = parent / f"tally-bench-{os.getpid()}-{pid}"
    before = _group_of(pid, parent, unified=unified)
    try:
        group.mkdir()
    except OSError as error:
        raise Missing(f"no cgroup can be made ({error.strerror}); root can") from error
    try:
        limits = (
            {"cpu.max": f"{quota} {_PERIOD_MICROSECONDS}"}
            if unified
            else {"cpu.cfs_period_us": str(_PERIOD_MICROSECONDS), "cpu.cfs_quota_us": str(quota)}
        )
        for name, value in limits.items():
            if not (group / name).exists():
                raise Missing(f"this kernel offers no {name} here")
            (group / name).write_text(value)
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        if _group_of(pid, parent, unified=unified) == group:
            (before / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _group_of(pid: int, parent: Path, *, unified: bool) -> Path:
    """The folder of the group that a process is in: `number:controllers:/path` in proc's file."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" if unified else "cpu" in controllers.split(","):
            return parent / path.lstrip("/")
    raise Missing("the kernel has no cgroups for processors")
