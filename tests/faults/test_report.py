"""The report says what the judge found, and its picture shows each thing that happened."""

import re
from xml.etree import ElementTree as ET

import pytest

from faults.chart import Struck, draw
from faults.checkers import Verdict
from faults.history import Fault, FinalState, History, Record
from faults.report import write

SVG = "{http://www.w3.org/2000/svg}"


def add(ended, status=201, **more):
    return Record(
        1, "add", "adder-1", ended - 0.1, ended, values=(str(ended),), status=status, **more
    )


@pytest.fixture
def history():
    """Ten seconds: 20 adds a second, but for the fifth one, when an adder is away."""
    history = History()
    for tick in range(200):
        moment = 100 + tick / 20
        if not 105 <= moment < 106:
            history.add(add(moment))
        elif tick % 2:
            history.add(add(moment, 503, answer={"outcome": "unknown"}))
        else:
            history.add(add(moment, None, error="ReadError"))
    history.add(add(110.0, None, never_sent=True))
    history.add(Record(1, "total", "display-1", 110.0, 110.5, status=422, answer={}))
    history.mark(Fault("kill <an> adder", 105.0, 105.4))
    history.mark(Fault("slow | network", 107.0, 108.0))
    history.mark(Fault("slow | network", 109.0, 109.5))
    return history


@pytest.fixture
def final():
    total = {"sum": "0", "count": 0, "last_id": 0, "cleared_through": 0}
    return FinalState(
        [],
        total,
        back=[("kill <an> adder", 0.61), ("slow | network", 1.5), ("slow | network", 0.5)],
        resources=[
            ("adder-1", "memory", 60_000_000, 71_000_000),
            ("adder-1", "descriptors", 30, 31),
        ],
    )


def written(folder, history, final, verdicts):
    (folder / "pictures").mkdir()
    write(
        folder / "faults.md",
        folder / "pictures" / "faults.svg",
        seed=7,
        seconds=60,
        versions={"PostgreSQL": "18.1"},
        history=history,
        final=final,
        verdicts=verdicts,
    )
    return (folder / "faults.md").read_text()


def test_the_report_of_a_good_run(tmp_path, history, final):
    text = written(tmp_path, history, final, [Verdict("durable_once", "Once.", 1180, ())])
    assert "None: every promise was kept." in text
    assert "| durable once | Once | 1,180 | 0 |" in text
    assert "make faults SECONDS=60 SEED=7" in text
    assert "202 requests, 0 entries and 3 faults in 11 seconds. PostgreSQL 18.1." in text
    assert "| slow &#124; network | 2 | 1.50 |" in text
    assert re.search("Left out of this run: .*full disk.*, two migrations at once\\.", text)
    assert "| add | 180 | 0 | 0 | 10 | 10 | 1 |" in text
    assert "| total | 0 | 0 | 1 | 0 | 0 | 0 |" in text
    assert "| adder-1 | 60 → 71 | 30 → 31 |" in text
    assert "](pictures/faults.svg)" in text


def test_the_report_of_a_bad_run(tmp_path, history, final):
    final.back[1] = ("slow | network", None)
    lost = tuple(f"{number} is lost" for number in range(12))
    text = written(tmp_path, history, final, [Verdict("durable_once", "Once.", 1180, lost)])
    assert "every promise was kept" not in text
    assert "- `durable_once: 0 is lost`\n" in text
    assert "- `durable_once: ... and 2 more`\n" in text
    assert "| durable once | Once | 1,180 | 12 |" in text
    assert "| slow &#124; network | 2 | never |" in text


def test_the_picture(history):
    killed, slow, slow_again = history.faults
    struck = [Struck(killed, 0.61), Struck(slow, None), Struck(slow_again, 0.5)]
    root = ET.fromstring(draw(history.records(), struck))
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert texts.count("kill <an> adder") == texts.count("slow | network") == 1
    assert {"Adds acknowledged, per second", "20", "seconds since the start"} <= set(texts)
    adds, unavailable, unanswered = (
        path.get("d").count("M") for path in root.iter(f"{SVG}path") if path.get("fill")
    )
    # 10.4 s are ten whole bars; of them one is of the second in which all failed.
    assert (adds, unavailable, unanswered) == (9, 1, 1)
    fills = [rect.get("fill") for rect in root.iter(f"{SVG}rect")]
    # Each fault has a band and a mark; two of the three came back.
    assert sorted(map(fills.count, set(fills))) == [1, 2, 3, 3]


def test_a_long_run_has_fewer_and_wider_bars():
    records = [add(float(second)) for second in range(3601)]
    root = ET.fromstring(draw(records, []))
    bars = max(path.get("d").count("M") for path in root.iter(f"{SVG}path"))
    assert 200 < bars <= 345


def test_a_run_without_requests_has_no_picture():
    with pytest.raises(ValueError, match="less than a second"):
        draw([], [])
