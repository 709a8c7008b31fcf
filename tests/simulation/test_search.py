"""Schedules keep every promise, are the same whenever they are run, and shrink to what matters."""

import subprocess
import sys

import pytest

from simulation.functions import Functions
from simulation.search import Finding, lines, replay, schedule, search
from tests.support.paths import ROOT

SEED = 1


class ForgetsEveryBatch(Functions):
    """Stores nothing, and says that it did."""

    async def add_batch(self, tx, *arguments):
        rows = await super().add_batch(tx, *arguments)
        tx.writes.clear()
        return rows


# Some seconds, and about a minute of them.
@pytest.mark.parametrize(("seed", "schedules"), [(SEED, 400), (SEED + 1, 3600)])
def test_every_schedule_keeps_every_promise(seed, schedules):
    found = search(seed, runs=schedules)
    assert found == schedules, found


def test_a_schedule_is_the_same_to_the_bit_in_every_process():
    tokens = [schedule(SEED, number) for number in range(20)]
    script = "\n".join(
        [
            "from simulation.search import lines, quieten, replay",
            "quieten()",
            f"for token in {tokens}:",
            "    events, error = replay(token)",
            "    print(token, error, *lines(events), sep='\\n')",
        ]
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": str(seed)},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in (1, 2)
    )
    assert len(first.splitlines()) > 20 * 20
    assert first == second


def test_what_breaks_a_promise_is_shrunk_and_replayed():
    found = search(SEED, runs=100, functions=ForgetsEveryBatch)
    assert isinstance(found, Finding)
    events, error = replay(found.token, ForgetsEveryBatch)
    assert error == found.error
    assert "was answered" in error
    # One add of one value, which is acknowledged, and nothing that goes wrong.
    assert [line for line in lines(events) if " fault " in line] == []
    assert len([line for line in lines(events) if " is asked for " in line]) == 1
    assert replay(found.token)[1] is None


@pytest.mark.parametrize("token", ["", "dt1-", "nonsense"])
def test_a_token_that_is_none_is_refused(token):
    with pytest.raises(ValueError, match="token"):
        replay(token)
