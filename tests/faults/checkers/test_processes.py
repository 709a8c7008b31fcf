"""Processes are back in time, stop in order, and answer as promised."""

import pytest

from faults.history import Command, Exit, Fault, Peak, Sessions, Start, Usage


@pytest.mark.parametrize(
    ("change", "checker"),
    [
        (lambda run: run.change_other(Fault, healed=3.5, over=3.6), "availability"),
        (lambda run: run.change_other(Fault, healed=23.0, over=23.0), "availability"),
        (lambda run: run.others.append(Start("adder-9", 0.0)), "availability"),
        (lambda run: run.others.append(Usage("adder-1", 31.0, 60_000_000, 51)), "availability"),
        (lambda run: run.others.append(Usage("adder-1", 31.0, 121 * 10**6, 30)), "availability"),
        # The next request of all was answered only after the fault was healed.
        (lambda run: run.change_other(Fault, serving=11.1), "serves_others"),
        (lambda run: run.others.append(Peak("adder-1", 9, "it", 400_000_001)), "serves_others"),
        (lambda run: run.change_other(Sessions, most=9), "few_sessions"),
        (lambda run: run.change_other(Fault, error="NotInjected"), "faults_injected"),
        (lambda run: run.change_other(Exit, signal=None, status=0), "processes_stay"),
        (lambda run: run.change_other(Exit, status=1), "graceful_stop"),
        (lambda run: run.change_other(Exit, at=13.1), "graceful_stop"),
        # Entry 5 was stored, and its add got no answer.
        (lambda run: run.change_other(Exit, service="adder-1"), "graceful_stop"),
        (lambda run: run.change_other(Command, status=1), "migrations"),
        (lambda run: run.change(8, status=500), "answers"),
    ],
)
def test_a_process_that_behaves_wrong_is_found(run, change, checker):
    change(run)
    assert checker in run.findings()
