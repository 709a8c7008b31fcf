"""The picture shows each thing that happened."""

from xml.etree import ElementTree as ET

import pytest

from faults.chart import draw
from faults.history import Fault
from tests.support.model_history import add, ten_seconds

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture():
    killed = Fault("kill <an> adder", 105.0, 105.4, 105.4)
    slow, slow_again = (Fault("slow | network", at, at + 0.5, at + 0.5) for at in (107.0, 109.0))
    injected = [(killed, 0.61), (slow, None), (slow_again, 0.5)]
    root = ET.fromstring(draw(ten_seconds().attempts(), injected))
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
    attempts = [add(float(second)) for second in range(3601)]
    root = ET.fromstring(draw(attempts, []))
    bars = max(path.get("d").count("M") for path in root.iter(f"{SVG}path"))
    assert 200 < bars <= 345


def test_a_run_without_requests_has_no_picture():
    with pytest.raises(ValueError, match="less than a second"):
        draw([], [])
