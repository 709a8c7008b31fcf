"""What is measured, in groups; each has a function that measures it by a runner."""

from collections.abc import Callable

from bench import profile
from bench.measures import (
    adders,
    adds,
    batches,
    capacity,
    clients,
    files,
    keys,
    memory,
    reads,
    resets,
    start,
    viewers,
)
from bench.runner import Runner

GROUPS: dict[str, Callable[[Runner], None]] = {
    "adds": adds.run,
    "keys": keys.run,
    "batches": batches.run,
    "clients": clients.run,
    "adders": adders.run,
    "reads": reads.run,
    "sizes": reads.run_sizes,
    "resets": resets.run,
    "export": files.run_export,
    "import": files.run_import,
    "viewers": viewers.run,
    "memory": memory.run,
    "start": start.run,
    "capacity": capacity.run,
    "profile": profile.run,
}
# What three minutes are enough for.
QUICK_GROUPS = ("adds", "keys", "reads", "start")
