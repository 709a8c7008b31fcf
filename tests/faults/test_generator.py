"""The same seed draws the same run."""

from faults.faults import FULL_DISK, ON_A_SERVER
from faults.generator import draw

SLOT = 5.0


def test_a_seed_draws_the_same_run_as_ever():
    plan = draw(7, 60, SLOT, ON_A_SERVER)
    assert [(planned.calm, str(planned)) for planned in plan[:6]] == [
        (0.35, "clients hang up (count 56)"),
        (0.27, "PostgreSQL restarted fast"),
        (0.44, "chunks of one byte (index 1, seconds 0.2, count 14)"),
        (0.38, "adder asked to stop (index 2)"),
        (0.2, "display asked to stop (index 5)"),
        (0.19, "chunks that say too much (index 0, seconds 0.37, count 12)"),
    ]


def test_every_fault_comes_once_even_in_a_short_run():
    assert sorted(planned.name for planned in draw(1, 10, SLOT, ON_A_SERVER)) == sorted(ON_A_SERVER)


def test_a_fault_that_is_left_out_never_comes():
    faults = [name for name in ON_A_SERVER if name != FULL_DISK]
    assert {planned.name for planned in draw(1, 600, SLOT, faults)} == set(faults)
