"""The same seed draws the same run."""

from faults.faults import FAULTS, FULL_DISK
from faults.generator import draw


def test_a_seed_draws_the_same_run_as_ever():
    plan = draw(7, 60)
    assert [(planned.calm, str(planned)) for planned in plan[:6]] == [
        (0.35, "clients hang up (count 56)"),
        (0.27, "PostgreSQL restarted fast"),
        (0.44, "chunks of one byte (index 1, seconds 0.2, count 14)"),
        (0.38, "adder asked to stop (index 2)"),
        (0.2, "display asked to stop (index 5)"),
        (0.19, "chunks that say too much (index 0, seconds 0.37, count 12)"),
    ]


def test_every_fault_comes_once_even_in_a_short_run():
    assert sorted(planned.name for planned in draw(1, 10)) == sorted(FAULTS)


def test_a_fault_can_be_left_out():
    assert FULL_DISK not in {planned.name for planned in draw(1, 600, frozenset({FULL_DISK}))}
