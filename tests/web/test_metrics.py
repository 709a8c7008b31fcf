"""Figures for Prometheus."""

import httpx
import pytest
from prometheus_client import REGISTRY

from tally.web import metrics
from tests.support.http import ENTRIES


def test_metrics_are_off_unless_asked_for_and_then_on_loopback(tally_up, unused_tcp_port) -> None:
    running = tally_up(TALLY_METRICS_PORT=str(unused_tcp_port))
    httpx.post(running.url + ENTRIES, json={"values": [1, 2, 3]}).raise_for_status()
    httpx.get(f"{running.url}/nowhere")
    assert httpx.get(f"{running.url}/metrics").status_code == 404
    figures = httpx.get(f"http://127.0.0.1:{unused_tcp_port}/metrics").text
    assert "tally_values_added_total 3.0" in figures
    assert "tally_adds_committed_total 1.0" in figures
    assert 'tally_errors_total{service="display",status="404"} 2.0' in figures
    for name in ("batch_values_bucket", "commit_seconds_sum", "queued_values", "viewers"):
        assert f"tally_{name}" in figures
    running.stop()


def test_the_figures_are_served_on_loopback_alone() -> None:
    with metrics.serve(0) as server:
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        assert "tally_viewers" in httpx.get(f"http://{host}:{port}/metrics").text
        server.shutdown()


def figures_of(name: str) -> dict[str, float]:
    """The figures of one histogram, by what they count."""
    [found] = [it for it in REGISTRY.collect() if it.name == name]
    suffixes = {it.name.removeprefix(f"{name}_"): it.value for it in found.samples if not it.labels}
    return suffixes | {it.labels["le"]: it.value for it in found.samples if it.labels}


def test_a_commit_is_counted_by_its_requests_its_values_and_its_seconds() -> None:
    names = ("tally_batch_values", "tally_commit_seconds")
    counters = ("tally_values_added_total", "tally_adds_committed_total")
    before = [figures_of(name) for name in names]
    counted = [REGISTRY.get_sample_value(name) for name in counters]
    metrics.observe_commit(requests=2, values=4, seconds=0.005)
    values, seconds = [
        {key: now - was[key] for key, now in figures_of(name).items()}
        for name, was in zip(names, before, strict=True)
    ]
    assert [REGISTRY.get_sample_value(name) for name in counters] == [
        counted[0] + 4,
        counted[1] + 2,
    ]
    assert values.pop("sum") == 4
    assert seconds.pop("sum") == pytest.approx(0.005)
    for found in (values, seconds):
        assert found.pop("count") == 1
        found.pop("created", None)
    # Each bucket holds what is at most as much.
    below, above = ["1.0"], ["4.0", "16.0", "64.0", "256.0", "1024.0", "4096.0", "10000.0", "+Inf"]
    assert values == dict.fromkeys(below, 0) | dict.fromkeys(above, 1)
    below = ["0.0005", "0.001", "0.002"]
    above = ["0.005", "0.01", "0.02", "0.05", "0.1", "0.5", "1.0", "5.0", "+Inf"]
    assert seconds == dict.fromkeys(below, 0) | dict.fromkeys(above, 1)
