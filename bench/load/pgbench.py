"""PostgreSQL's own load: transactions from scripts, without HTTP and without Tally."""

import re
import subprocess
import tempfile
from pathlib import Path

from bench.rounds import Figures, Invalid

# As the comparison asks for; a single client can use but one.
_THREADS = 2
_SETTLE_SECONDS = 60


class Failed(Invalid):
    """pgbench ended with an error, or lost transactions."""


def pgbench(program: Path, url: str, script: Path, *, clients: int, seconds: int | None) -> Figures:
    """Run a script's transaction, prepared, for some seconds or once a client; returns figures.

    Every transaction's latency is logged, as that is the only way to their percentiles. They are
    corrected as wrk corrects its own.
    """
    length = f"--time={seconds}" if seconds else "--transactions=1"
    with tempfile.TemporaryDirectory(prefix="tally-pgbench-") as folder:
        ran = subprocess.run(
            [
                *(str(program), "--no-vacuum", "--protocol=prepared", f"--client={clients}"),
                *(f"--jobs={min(_THREADS, clients)}", length, f"--file={script}"),
                *("--log", "--log-prefix=log", url),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=(seconds or 0) + _SETTLE_SECONDS,
            check=False,
        )
        if ran.returncode != 0:
            raise Failed(ran.stderr.strip()[-500:])
        logs = [log.read_text() for log in Path(folder).glob("log.*")]
    latencies = parse_latencies("".join(logs))
    interval = (seconds or 0) * 1e3 * clients / max(len(latencies), 1)
    return {
        "rate": parse_rate(ran.stdout),
        "requests": len(latencies),
        **percentiles(corrected(latencies, interval) if seconds else latencies),
    }


def parse_rate(output: str) -> float:
    """Transactions a second, connecting not counted; raises `Failed` if any failed."""
    failed = re.search(r"number of failed transactions: (\d+)", output)
    if failed is None or failed[1] != "0":
        raise Failed(output)
    rate = re.search(r"tps = ([\d.]+) \(without initial connection time\)", output)
    if rate is None:
        raise Failed(output)
    return float(rate[1])


def parse_latencies(log: str) -> list[float]:
    """Each transaction's latency in milliseconds, from `client number microseconds ...` lines."""
    return [int(line.split(" ", 3)[2]) / 1e3 for line in log.splitlines()]


def corrected(latencies: list[float], interval: float) -> list[float]:
    """Count those, too, who would have come while a client waited, as wrk does.

    A client that waits long sends nothing meanwhile, so a stall shows once for each client however
    long it is ("coordinated omission"). wrk adds what would have been sent every `interval`, the
    average time from one request of a client to its next; without the same here a stall would
    count for more on one side than on the other.
    """
    added = []
    for latency in latencies:
        if latency >= 2 * interval:
            waited = latency - interval
            while waited > interval:
                added.append(waited)
                waited -= interval
    return latencies + added


def percentiles(latencies: list[float]) -> Figures:
    """The percentiles that wrk gives, too."""
    ordered = sorted(latencies)
    if not ordered:
        raise Failed("no transaction was logged")
    at = {name: min(int(len(ordered) * share), len(ordered) - 1) for name, share in _SHARES.items()}
    return {name: ordered[position] for name, position in at.items()}


_SHARES = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "max": 1.0}
