"""The report says what the checkers found."""

import re

import pytest

from faults.checkers.verdict import Verdict
from faults.faults import FAULTS
from faults.history import Fault, FinalState, Leader, Peak, Start, Usage
from faults.report import Run, write
from tests.support.model_history import ten_seconds

SLOW = f"| slow network | {FAULTS['slow network'].sentence}"


@pytest.fixture
def history():
    history = ten_seconds()
    for operation in (
        Start("adder-1", 99.0),
        Fault("adder killed", 105.0, 105.4, 105.5),
        Fault("slow network", 107.0, 108.0, 108.02),
        Fault("slow network", 109.0, 109.0, 109.42),
        Usage("adder-1", 101.0, 60_000_000, 30),
        Usage("adder-1", 110.0, 71_000_000, 31),
        Peak("adder-1", 105.0, "unread answers", 91_000_000),
        Peak("adder-1", 106.0, "unread answers", 80_000_000),
        FinalState([], {"sum": "0", "count": 0, "last_id": 0, "cleared_through": 0}),
    ):
        history.add(operation)
    return history


def written(folder, history, verdicts, system="server", left_out=""):
    write(
        folder / "faults.md",
        seed=7,
        seconds=60,
        versions={"Tally": "0.1.0"},
        runs=[Run(system, "18.1", history, verdicts)],
        left_out=left_out,
    )
    assert (folder / "pictures" / f"faults-{system}.svg").stat().st_size
    return (folder / "faults.md").read_text()


def test_the_report_of_a_good_run(tmp_path, history):
    text = written(tmp_path, history, [Verdict("durable_once", "once | for all.", 1180, ())])
    assert "None: every promise was kept." in text
    assert "| durable once | Once &#124; for all | 1,180 | 0 |" in text
    assert "make faults SECONDS=60 SEED=7" in text
    assert "PostgreSQL 18.1." in text
    assert "202 requests, 0 entries and 3 faults in 11 seconds." in text
    assert f"{SLOW} | 2 | 0.55 |\n" in text
    assert re.search("Left out of this run: .*full disk.*, unread exports\\.", text)
    assert "| add | 180 | 0 | 0 | 10 | 10 | 1 |" in text
    assert "| total | 0 | 0 | 1 | 0 | 0 | 0 |" in text
    assert "| adder-1 | 60 → 71 | 91 | 30 → 31 |" in text
    assert "](pictures/faults-server.svg)" in text


def test_the_report_of_a_bad_run(tmp_path, history):
    history.add(Fault("slow network", 109.5, 109.95, 109.95))
    lost = tuple(f"{number} is lost" for number in range(12))
    text = written(tmp_path, history, [Verdict("durable_once", "Once.", 1180, lost)])
    assert "every promise was kept" not in text
    assert "- `durable_once: 0 is lost`\n" in text
    assert "- `durable_once: ... and 2 more`\n" in text
    assert "| durable once | Once | 1,180 | 12 |" in text
    assert f"{SLOW} | 3 | never |\n" in text


def test_the_report_of_a_cluster(tmp_path, history):
    for began, promoted, whole in ((101.0, 101.25, 102.0), (103.5, 106.0, 107.0)):
        fault = Fault("leader killed", began, promoted, promoted, moves="failover", whole=whole)
        history.add(fault)
        history.add(Leader("node-2", promoted))
    text = written(tmp_path, history, [], system="cluster")
    assert "| failover | 2 | 1.38, 2.50 | 0.55, 1.05 |" in text
    assert "`ttl` 10 s" in text
    assert "Left out" not in text.partition("## A cluster")[0]


def test_the_report_says_what_could_not_run(tmp_path, history):
    assert "Left out: the cluster (none)." in written(
        tmp_path, history, [], left_out="the cluster (none)"
    )
