"""Figures for Prometheus, served on a loopback port of their own when one is set."""

from wsgiref.simple_server import WSGIServer

from prometheus_client import Counter, Gauge, Histogram, start_http_server

adds = Counter("tally_values_added", "Values committed")
requests_committed = Counter("tally_adds_committed", "Add requests committed")
batch_values = Histogram(
    "tally_batch_values", "Values in one commit", buckets=(1, 4, 16, 64, 256, 1024, 4096, 10_000)
)
commit_seconds = Histogram(
    "tally_commit_seconds",
    "Seconds one commit took",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
queued_values = Gauge("tally_queued_values", "Values that wait for a commit")
viewers = Gauge("tally_viewers", "Open event streams")
errors = Counter("tally_errors", "Requests answered with an error", ["service", "status"])
database_up = Gauge("tally_database_up", "0 while the database is lost", ["service"])


def observe_commit(requests: int, values: int, seconds: float) -> None:
    """Count one commit."""
    requests_committed.inc(requests)
    adds.inc(values)
    batch_values.observe(values)
    commit_seconds.observe(seconds)


def serve(port: int) -> WSGIServer:
    """Serve the figures on loopback, from a thread of the library's own; raise `OSError`."""
    server, _ = start_http_server(port, addr="127.0.0.1")
    return server
