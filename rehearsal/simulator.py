"""A load, minute by minute, against a service that target tracking scales."""

from collections.abc import Sequence
from typing import Final

from rehearsal.scaling import MINUTE, Decision, Policy, TargetTracking

# Seconds from a decision to the tasks that it asked for being healthy; a release measures its own.
STARTING: Final = 120.0


def simulate(
    policy: Policy, requests: Sequence[int], tasks: int, starting: float = STARTING
) -> list[Decision]:
    """Tell what is decided under so many requests in each minute."""
    tracking = TargetTracking(policy)
    decisions: list[Decision] = []
    # From when on how many tasks serve, oldest first.
    serving = [(0.0, tasks)]
    for minute, count in enumerate(requests):
        healthy = [number for since, number in serving if since <= minute * MINUTE][-1]
        metric = count / healthy if count else None
        decision = tracking.take(minute, metric, tasks)
        if decision is not None:
            decisions.append(decision)
            tasks = decision.after
            later = starting if decision.after > decision.before else 0.0
            serving.append((decision.at + later, tasks))
    return decisions
