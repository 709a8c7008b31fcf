"""Each planted bug breaks a promise within as many schedules as a minute has."""

import pytest

from simulation.search import Finding, search
from tests.simulation.planted import BUGS

# On the real database they would be found by luck; here a minute of one processor has more.
pytestmark = pytest.mark.core
SCHEDULES = 4000
SEED = 1


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name):
    bug = BUGS[name]
    with bug.planted() as functions:
        found = search(SEED, runs=SCHEDULES, functions=functions, shrink=False)
    assert isinstance(found, Finding)
    assert found.error.startswith(bug.broken)
