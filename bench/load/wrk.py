"""HTTP load by wrk, a process of its own."""

import json
import subprocess
import uuid
from pathlib import Path

from bench.process import need
from bench.rounds import Figures, Invalid

_SCRIPTS = Path(__file__).parent
# One thread of wrk makes several times the requests that any candidate answers, and leaves the
# other core to the candidate.
_THREADS = 1
# Longer than the slowest answer measured here, the sum of ten million values in a busy machine.
_TIMEOUT_SECONDS = 60


class Refused(Invalid):
    """Answers that were errors, or connections that failed: the figure means nothing."""


def wrk(script: str, url: str, *, connections: int, seconds: int) -> Figures:
    """Load an address with a script of this folder, in closed loop; returns the figures of it.

    Raises `Refused` if any answer was not a success.
    """
    load = start(script, url, connections=connections, seconds=seconds)
    return finish(load, seconds)


def start(script: str, url: str, *, connections: int, seconds: int) -> subprocess.Popen[str]:
    """Start such a load; `finish` gets its figures."""
    return subprocess.Popen(
        [
            *(need("wrk"), "-t", str(_THREADS), "-c", str(connections), "-d", f"{seconds}s"),
            *("--timeout", f"{_TIMEOUT_SECONDS}s", "-s", str(_SCRIPTS / f"{script}.lua"), url),
            uuid.uuid4().hex,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"LUA_PATH": f"{_SCRIPTS}/?.lua"},
    )


def finish(load: subprocess.Popen[str], seconds: int) -> Figures:
    """Wait for a load to end and return its figures, or raise `Refused`."""
    output, _ = load.communicate(timeout=seconds + _TIMEOUT_SECONDS)
    if load.returncode != 0:
        raise Refused(f"wrk ended with {load.returncode}: {output.strip()[-500:]}")
    return parse(output)


def parse(output: str) -> Figures:
    """Read the line that summary.lua writes; rates are a second, latencies in milliseconds."""
    said = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    if any(said["errors"].values()) or not said["requests"]:
        raise Refused(f"{said['requests']} answers, errors: {said['errors']}")
    latencies = {name: said[f"{name}_us"] / 1e3 for name in ("p50", "p90", "p99", "max")}
    requests = said["requests"]
    return {"rate": requests / said["duration_us"] * 1e6, "requests": requests, **latencies}
