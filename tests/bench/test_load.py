"""What the load programs say, as the figures are read from it."""

import pytest

from bench import profile
from bench.load import pgbench, redis, wrk

WRK = """Running 1s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
{"requests":30000,"duration_us":1500000,"p50_us":2000,"p90_us":3000,"p99_us":4500,"max_us":9000,\
"errors":{"connect":0,"read":0,"write":0,"timeout":0,"status":0}}
"""


def test_wrk():
    figures = wrk.parse(WRK)
    assert figures == {"rate": 20_000, "requests": 30_000, "p50": 2, "p90": 3, "p99": 4.5, "max": 9}


@pytest.mark.parametrize("kind", ["connect", "read", "write", "timeout", "status"])
def test_no_figure_has_errors_in_it(kind):
    with pytest.raises(wrk.Refused, match=f"'{kind}': 1"):
        wrk.parse(WRK.replace(f'"{kind}":0', f'"{kind}":1'))


def test_no_answer_is_no_figure():
    with pytest.raises(wrk.Refused):
        wrk.parse(WRK.replace("30000", "0"))


PGBENCH = """number of transactions actually processed: 41120
number of failed transactions: 0 (0.000%)
latency average = 3.1 ms
initial connection time = 160.1 ms
tps = 20600.500000 (without initial connection time)
"""


def test_pgbench():
    assert pgbench.parse_rate(PGBENCH) == 20_600.5
    with pytest.raises(pgbench.Failed):
        pgbench.parse_rate(PGBENCH.replace("transactions: 0", "transactions: 3"))
    log = "0 1 3000 0 1700000000 1\n1 1 1000 0 1700000000 2\n0 2 2000 0 1700000000 3\n"
    assert pgbench.parse_latencies(log) == [3.0, 1.0, 2.0]


def test_percentiles():
    figures = pgbench.percentiles([float(number) for number in range(1000, 0, -1)])
    assert figures == {"p50": 501, "p90": 901, "p99": 991, "max": 1000}
    with pytest.raises(pgbench.Failed):
        pgbench.percentiles([])


def test_who_would_have_come_during_a_stall_counts():
    # One client, every 2 ms; then it waits 9 ms, in which four more would have come.
    assert pgbench.corrected([1.0, 2.0, 3.9, 9.0], 2.0) == [1.0, 2.0, 3.9, 9.0, 7.0, 5.0, 3.0]
    assert pgbench.corrected([4.0], 2.0) == [4.0]


def test_redis():
    output = (
        '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms",'
        '"p99_latency_ms","max_latency_ms"\n'
        '"INCRBY tally 7","58479.53","1.0","0.2","0.9","1.5","2.0","6.5"\n'
    )
    assert redis.parse(output) == {"rate": 58_479.53, "p50": 0.9, "p99": 2.0, "max": 6.5}


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        (
            "run (a.py:1);uv_run (core.c:4);UVStream__try_write (loop.c:1);write (libc.so.6)",
            "sending",
        ),
        ("uv_run (core.c:4);Log.flush (tally/web/log.py:9);write (libc.so.6)", "logging"),
        ("uv_run (core.c:4);uv__read (stream.c:1);read (libc.so.6)", "receiving"),
        ("offer (tally/web/middleware.py:1);format_amount (tally/amount.py:7)", "ledger"),
        ("_commit (tally/ledger/writer.py:2);x (asyncpg/pgproto/pgproto.c:1)", "driver"),
        ("data_received (uvicorn/protocols/h.py:1);llhttp__run (llhttp.c:9)", "HTTP parsing"),
        ("_add (tally/services/adder.py:1);json_encode (msgspec/_core.so)", "request"),
        ("uv__io_poll (linux.c:1);epoll_pwait (libc.so.6)", "event loop"),
        ("main (other.py:1)", "other"),
    ],
)
def test_parts_of_a_profile(stack, part):
    assert profile.count(f"{stack} 7\n{stack} 2\n") == {part: 9}
