"""The same seed draws the same run."""

from faults.faults import FAULTS, FULL_DISK
from faults.generator import draw


def test_a_seed_draws_the_same_run_as_ever():
    plan = draw(7, 60)
    assert [(planned.calm, str(planned)) for planned in plan[:6]] == [
        (0.57, "PostgreSQL restarted at once"),
        (0.54, "display asked to stop (index 0)"),
        (0.54, "PostgreSQL's session stalled (index 3, seconds 0.27)"),
        (0.36, "clients hang up (count 55)"),
        (0.68, "display killed (index 2)"),
        (0.46, "reset killed"),
    ]


def test_every_fault_comes_once_even_in_a_short_run():
    assert sorted(planned.name for planned in draw(1, 10)) == sorted(FAULTS)


def test_a_fault_can_be_left_out():
    assert FULL_DISK not in {planned.name for planned in draw(1, 600, frozenset({FULL_DISK}))}
