"""Target tracking decides when and what AWS decided, in two published traces of this very metric.

Both are of github.com/Ayush32-creator/CC_AWS_AUTO_SCALING: an auto scaling group of 1 to 2
machines, target 300 requests a minute and machine. Numbers and times are from its docs/07 and
docs/10; per machine, minutes between those that it gives are as their neighbours.
"""

import pytest

from rehearsal.scaling import Policy
from rehearsal.simulator import simulate

POLICY = Policy(target=300, least=1, most=2, low=0.7)


def clock(hours: int, minutes: int, seconds: int = 0) -> float:
    return 3600.0 * hours + 60 * minutes + seconds


def load(*stretches: tuple[int, int]) -> list[int]:
    """So many minutes of so many requests each."""
    return [count for minutes, count in stretches for _ in range(minutes)]


FIRST = (
    clock(14, 44),
    [
        *(164, 187, 209, 389, 421, 420, 292, 420, 420, 420, 420, 420),
        *load((1, 105), (5, 0), (1, 2), (30, 6)),
    ],
    [clock(14, 52, 52), clock(15, 13, 2)],
    166,
)
SECOND = (
    clock(12, 20),
    [
        *(133, 120, 120, 346, 420, 420, 421, 420, 420, 150, 181),
        *load((7, 422), (1, 295), (1, 6), (30, 6)),
    ],
    [clock(12, 28, 8), clock(12, 55, 53)],
    199,
)


@pytest.mark.parametrize("trace", [FIRST, SECOND], ids=["2026-10-04", "2026-10-05"])
def test_a_published_trace(trace) -> None:
    began, requests, decided_at, starting = trace
    decisions = simulate(POLICY, requests, tasks=1, starting=starting)
    assert [(it.before, it.after) for it in decisions] == [(1, 2), (2, 1)]
    for decision, at in zip(decisions, decided_at, strict=True):
        assert abs(began + decision.at - at) < 30


def test_without_requests_nothing_is_taken_away() -> None:
    """The load balancer publishes no count then."""
    assert simulate(POLICY, load((60, 0)), tasks=2) == []
    [one] = simulate(POLICY, load((60, 0), (20, 6)), tasks=2)
    assert (one.before, one.after) == (2, 1)


@pytest.mark.parametrize(("requests", "after"), [(350, 4), (900, 5)])
def test_a_step_is_as_large_as_the_load_within_bounds(requests, after) -> None:
    policy = Policy(target=100, least=1, most=5)
    assert simulate(policy, load((3, requests)), tasks=1)[0].after == after
    assert simulate(Policy(target=100, least=2, most=5), load((30, 6)), tasks=2) == []


@pytest.mark.parametrize(("cooldown", "steps"), [(300, [(1, 2)]), (0, [(1, 2), (2, 3), (3, 5)])])
def test_a_step_has_time_to_be_seen(cooldown, steps) -> None:
    """The minutes before it say nothing of it."""
    policy = Policy(target=100, least=1, most=5, out_cooldown=cooldown)
    decisions = simulate(policy, load((10, 150)), tasks=1, starting=0)
    assert [(it.before, it.after) for it in decisions] == steps
