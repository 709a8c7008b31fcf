"""The checkers find bugs: each is planted in the real services or in the real database.

The same runs without a bug are clean, so what is found is the bug and not the run.
"""

import shutil
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest

from faults import checkers
from faults.cluster_system import ClusterSystem
from faults.generator import Planned
from faults.history import History
from faults.recorder import Recorder
from faults.runner import Runner
from faults.system import System
from tests.support.distribution_postgres import installed
from tests.support.programs import need

SEED = 1
WARM_UP_SECONDS, CALM_SECONDS = 3, 2
PLANTED = Path(__file__).with_name("planted.py")

NO_FAULTS: list[Planned] = []
LOST = [Planned("cut before commit", 0.05, {"index": index}) for index in range(3)]
# A blind retry doubles only what has no key, which half of the adds have: 20 cuts surely hit one.
UNHEARD = [Planned("cut after commit", 0.05, {"index": index}) for index in range(20)]
# Of a cluster.
SWITCHED = [Planned("switchover", 0.05, {}), Planned("sessions terminated", 0.05, {})]
LEADER_LOST = [Planned("leader lost with what waits", 0.05, {"held": 8})]
NOTHING_DURABLE = [Planned("all receivers stalled", 0.05, {"seconds": 25})]
MANY_BODIES = [Planned("many bodies at once", 0.05, {"index": 0, "count": 74})]


def altered(function, was, now):
    """The statement that puts other words into one of the ledger's functions."""
    return f"""
        DO $alter$
        DECLARE
            source text := pg_get_functiondef('tally.{function}'::regproc);
        BEGIN
            ASSERT strpos(source, $was${was}$was$) > 0;
            EXECUTE replace(source, $was${was}$was$, $now${now}$now$);
        END $alter$"""


SUM_IN_FLOAT = altered(
    "add_batch",
    "was.sum + sum(v.value) OVER (ORDER BY v.n ROWS UNBOUNDED PRECEDING)",
    "(was.sum + sum(v.value::float8) OVER (ORDER BY v.n ROWS UNBOUNDED PRECEDING))::numeric(38, 9)",
)
# The pause makes sure that an add falls into it: there are only a few resets in so short a run.
SETTLES_WITHOUT_COMMIT, REPLAYS_WITHOUT_COMMIT = (
    altered(function, "PERFORM tally.confirm();", "NULL;")
    for function in ("settle_batch", "recall")
)
RESET_WITHOUT_LOCK = altered(
    "reset_total", "FROM tally.total FOR UPDATE;", "FROM tally.total; PERFORM pg_sleep(0.1);"
)


@pytest.fixture
def folder():
    """A folder that PostgreSQL's own user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="tally-planted-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def found(folder):
    """Runs a plan, and gives what was found, by checker."""

    async def found(plan, *, planted=None, alterations=(), cluster=False):
        program = ("-m", "tally") if planted is None else (str(PLANTED), planted)
        given = {"serve": (sys.executable, *program, "serve"), "alterations": alterations}
        history = History()
        recorder = Recorder(history)
        if cluster:
            # What waits is given up, and asked for again, many times within the fault.
            given["serve"] = ("env", "TALLY_REQUEST_TIMEOUT=1", *given["serve"])
            system = ClusterSystem(folder, folder, recorder, **given)
        else:
            system = System(folder / "data", folder, print, recorder, **given)
        seconds = {"warm_up": WARM_UP_SECONDS, "calm": CALM_SECONDS}
        await Runner(system, recorder, None, SEED, print, **seconds).run(plan)
        details = defaultdict(list)
        for finding in checkers.findings(history):
            details[finding.checker].append(finding.detail)
        return details

    return found


async def test_without_a_bug_nothing_is_found(found):
    assert await found(LOST + UNHEARD + MANY_BODIES) == {}


async def test_acknowledging_before_the_commit_is_found(found):
    assert "durable_once" in await found(LOST, planted="AcknowledgesBeforeCommit")


async def test_retrying_a_lost_batch_blindly_is_found(found):
    assert "durable_once" in await found(UNHEARD, planted="RetriesBlindly")


async def test_taking_too_much_memory_is_found(found):
    assert "serves_others" in await found(MANY_BODIES, planted="reserves_too_much")


async def test_summing_in_float_is_found(found):
    details = await found(NO_FAULTS, alterations=[SUM_IN_FLOAT])
    assert {"durable_once", "sums_existed", "chain"} <= details.keys()


async def test_forgetting_the_key_of_a_batch_is_found(found):
    details = await found(NO_FAULTS, planted="ForgetsKeysOfBatches")
    assert {"durable_once", "replays"} <= details.keys()


async def test_resetting_without_the_lock_is_found(found):
    details = await found(NO_FAULTS, alterations=[RESET_WITHOUT_LOCK])
    assert {"sums_existed", "chain"} <= details.keys()


@pytest.fixture
def found_on_a_cluster(found):
    """Runs a plan on a cluster, by clients and services that do not wait long."""
    need("patroni", "etcd")
    installed()
    return partial(found, cluster=True)


async def test_without_a_bug_nothing_is_found_on_a_cluster(found_on_a_cluster):
    assert await found_on_a_cluster(SWITCHED + NOTHING_DURABLE + LEADER_LOST) == {}


@pytest.mark.parametrize(
    "alteration",
    [SETTLES_WITHOUT_COMMIT, REPLAYS_WITHOUT_COMMIT],
    ids=["settled", "replayed"],
)
async def test_acknowledging_what_is_not_durable_is_found(found_on_a_cluster, alteration):
    assert "durable_once" in await found_on_a_cluster(LEADER_LOST, alterations=[alteration])


async def test_reconnecting_without_limit_is_found(found_on_a_cluster):
    assert "few_sessions" in await found_on_a_cluster(
        NOTHING_DURABLE, planted="ReconnectsWithoutLimit"
    )
