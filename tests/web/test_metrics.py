"""Figures for Prometheus."""

import httpx

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
