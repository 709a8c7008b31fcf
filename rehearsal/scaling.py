"""Target tracking as AWS does it: two alarms on one metric, and how many tasks they ask for.

Time is told, not asked for: a simulator and a live rehearsal use the same controller. Sources: the
user guide of Application Auto Scaling ("How target tracking scaling works") for the share of the
target at which it scales in, proportional steps, cooldowns, and no scaling without data; the alarms
that it makes for periods (`describe-alarms`); a published trace for the delay
(github.com/Ayush32-creator/CC_AWS_AUTO_SCALING, docs/07 and docs/10).
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
# Seconds from the end of the minute that decides to the decision: the trace has 122 to 173.
DELAY: Final = 150.0
# Minutes that the metric must be above the target to scale out, or below its share to scale in.
OUT_MINUTES: Final = 3
IN_MINUTES: Final = 15


@dataclass(frozen=True)
class Policy:
    """`target` is of the metric for each task and minute; cooldowns are seconds.

    `low` is the share of the target below which it scales in: 0.9 for Application Auto Scaling, 0.7
    for the request count of an auto scaling group.
    """

    target: float
    least: int
    most: int
    low: float = 0.9
    out_cooldown: float = 300.0
    in_cooldown: float = 300.0


@dataclass(frozen=True)
class Decision:
    """At `at` seconds, from so many tasks to so many."""

    at: float
    before: int
    after: int


class TargetTracking:
    """Takes the metric of each minute; tells when how many tasks are wanted."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._minutes: deque[float | None] = deque(maxlen=IN_MINUTES)
        self._scaled_out_at = self._scaled_in_at = -math.inf

    def take(self, minute: int, metric: float | None, tasks: int) -> Decision | None:
        """Take the metric of a minute that has ended; None where there was no request.

        The load balancer publishes nothing then, and an alarm without data asks for nothing.
        """
        self._minutes.append(metric)
        at = (minute + 1) * MINUTE + DELAY
        after = min(max(self._wanted(at, tasks), self.policy.least), self.policy.most)
        if after == tasks:
            return None
        if after > tasks:
            self._scaled_out_at = at
        else:
            self._scaled_in_at = at
        return Decision(at, tasks, after)

    def _wanted(self, at: float, tasks: int) -> int:
        policy = self.policy
        last = [it for it in list(self._minutes)[-OUT_MINUTES:] if it is not None]
        if len(last) == OUT_MINUTES and min(last) > policy.target:
            # A step that is still under way counts; only what is more than it is added.
            if at - self._scaled_out_at < policy.out_cooldown:
                return tasks
            return math.ceil(tasks * last[-1] / policy.target)
        known = [it for it in self._minutes if it is not None]
        if len(self._minutes) < IN_MINUTES or not known or max(known) >= policy.low * policy.target:
            return tasks
        if at - max(self._scaled_in_at, self._scaled_out_at) < policy.in_cooldown:
            return tasks
        return math.ceil(tasks * known[-1] / policy.target)
