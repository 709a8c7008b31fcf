"""How rounds are measured and summed up, and what they mean."""

import os
import subprocess
import sys
import time

import pytest

from bench.goals import Measure, Result, at_least, at_most, shown
from bench.processor import Meter, family_seconds, machine_seconds
from bench.rounds import Rounds, Spread, interleave, with_costs


def test_candidates_take_turns():
    order = []

    def candidate(name):
        return lambda: order.append(name) or {"rate": len(order)}

    rounds = interleave(
        {"a": candidate("a"), "b": candidate("b")},
        2,
        progress=lambda text: None,
        settle=lambda: order.append("settle"),
    )
    assert order == ["settle", "a", "settle", "b"] * 2
    assert [figures["rate"] for figures in rounds.figures["a"]] == [2, 6]
    assert len(rounds.disturbed) == 2


def test_ratios_are_made_round_by_round():
    rounds = Rounds(
        {
            "a": [{"rate": 10.0}, {"rate": 30.0}, {"rate": 100.0}],
            "b": [{"rate": 10.0}, {"rate": 10.0}, {"rate": 200.0}],
        }
    )
    # The ratio of the medians would be 3.
    assert rounds.ratio("a", "b") == Spread(1.0, 0.5, 3.0, [1.0, 3.0, 0.5])
    assert rounds.spread("a") == Spread(30.0, 10.0, 100.0, [10.0, 30.0, 100.0])


def test_candidates_with_different_numbers_of_rounds_have_no_ratio():
    rounds = Rounds({"a": [{"rate": 1.0}], "b": []})
    with pytest.raises(ValueError, match="shorter"):
        rounds.ratio("a", "b")


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.79, "missed"), (0.8, "met"), (1.49, "met"), (1.5, "aim reached"), (9, "aim reached")],
)
def test_verdicts_where_more_is_better(value, verdict):
    assert Measure("m", "what", must=at_least(0.8), aim=at_least(1.5)).verdict(value) == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(501, "missed"), (500, "met"), (301, "met"), (300, "aim reached")]
)
def test_verdicts_where_less_is_better(value, verdict):
    measure = Measure("m", "what", "ms", must=at_most(500), aim=at_most(300))
    assert measure.verdict(value) == verdict


def test_a_line_without_goals_is_measured_and_one_without_an_aim_is_met():
    assert Measure("m", "what").verdict(0) == "measured"
    assert Measure("m", "what", must=at_most(50)).verdict(0) == "met"
    assert Measure("m", "what", must=at_most(50)).without_goals().verdict(99) == "measured"


def test_a_line_in_the_results_file():
    rounds = Rounds({}, disturbed=[True, False, True])
    measure = Measure("m", "at {many:,}", must=at_least(2)).about(many=1000)
    line = Result.of(measure, Spread.of([1.0, 3.0, 2.5]), rounds).for_json()
    assert line["what"] == "at 1,000"
    assert (line["median"], line["low"], line["high"]) == (2.5, 1.0, 3.0)
    assert (line["must"], line["aim"], line["verdict"]) == ("at least 2 x", None, "met")
    assert line["disturbed"] == 2


def test_figures_for_people():
    assert shown(31_234.5, "adds/s") == "31,234 adds/s"
    assert shown(0.7342, "x") == "0.734 x"


_BURN = "import time\nwhile time.process_time() < 1: pass"


def test_what_we_started_is_ours_even_after_its_end():
    before = family_seconds(os.getpid())
    machine = machine_seconds()
    subprocess.run([sys.executable, "-c", _BURN], check=True)
    assert family_seconds(os.getpid()) - before >= 0.95
    assert machine_seconds() - machine >= 0.95


def test_what_a_request_costs():
    def burn():
        subprocess.run([sys.executable, "-c", _BURN], check=True)
        return {"requests": 10}

    figures = with_costs(burn, {"it": os.getpid()})
    assert figures.keys() == {"requests", "it user", "it kernel"}
    assert figures["it user"] + figures["it kernel"] >= 95_000  # microseconds
    rounds = Rounds({"a": [figures]})
    assert rounds.cost("a", "it").median == figures["it user"] + figures["it kernel"]


def test_what_others_use_is_seen():
    meter = Meter()
    # Handed to init as soon as its parent ends: no longer a descendant.
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_BURN!r}])"
    subprocess.run([sys.executable, "-c", script], check=True)
    deadline = time.monotonic() + 60
    while meter.others() * (time.monotonic() - meter._at) < 0.9:
        assert time.monotonic() < deadline
        time.sleep(0.05)
