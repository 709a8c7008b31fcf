"""How long the services did not serve while a cluster's leadership moved."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from faults.history import Fault, History, Leader, Move
from faults.timeline import CREATED


@dataclass(frozen=True, slots=True)
class Outage:
    """Seconds from a fault until another node took writes, and without an acknowledged add."""

    promoted: float
    without_service: float


def outages(history: History) -> dict[Move, list[Outage]]:
    """List the outages of each way in which the leadership moved, in the order of the run."""
    acknowledged = sorted(
        attempt.ended
        for attempt in history.attempts()
        if attempt.kind == "add" and attempt.status == CREATED
    )
    promotions = [leader.at for leader in history.all(Leader)]
    found: dict[Move, list[Outage]] = defaultdict(list)
    for fault in history.all(Fault):
        if fault.moves is None or fault.whole is None or fault.error is not None:
            continue
        first = min((moment for moment in promotions if moment >= fault.began), default=inf)
        # From the last one before the fault to the first one after it.
        begin = max(bisect_left(acknowledged, fault.began) - 1, 0)
        end = bisect_left(acknowledged, fault.whole) + 1
        gaps = [after - before for before, after in pairwise(acknowledged[begin:end])]
        found[fault.moves].append(Outage(first - fault.began, max(gaps, default=inf)))
    return found
