"""Where the processor's time goes for one add: sampled by py-spy, C code included."""

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bench.load import wrk
from bench.process import Missing
from bench.runner import CLIENTS, ENTRIES, Runner, progress

# Samples a second. Each stops the process for some milliseconds, as C code is looked at too.
_RATE = 100
_RECORD_SECONDS = 10
# py-spy reads the symbols of all libraries before it begins.
_PREPARE_SECONDS = 10

# A sample belongs to the innermost of its frames that one of these knows; the order decides where
# two know the same frame.
PARTS = {
    "sending": r"\bUVStream__?(exec|try|initiate)?_?write|uv__?try_write|uv__write",
    "receiving": r"^read \(|^recv(from|msg)? \(",
    "garbage collection": r"^gc_collect",
    "logging": r"tally/web/log\.py",
    "driver": r"asyncpg|pgproto",
    "ledger": r"tally/(ledger/|amount\.py)",
    "HTTP parsing": r"uvicorn/|tally/web/(head|framing)\.py",
    "request": r"tally/(web|services)/|tally/representation\.py",
    "event loop": r"asyncio|uvloop|\(loop\.c|\buv_|^epoll_|\(core\.c|\(linux\.c",
}
_PATTERNS = {part: re.compile(pattern) for part, pattern in PARTS.items()}
OTHER = "other"


def run(runner: Runner) -> None:
    """Microseconds of processor time an add, by part of the adder, and PostgreSQL's beside it."""
    with runner.ledger("profile") as ledger, runner.tally("adder", ledger) as adder:
        url = adder.url + ENTRIES
        costs = {
            script: _cost(runner, adder.pid, script, url)
            for script in ("add", "add_with_header", "add_with_key")
        }
        samples = _record(adder.pid, url, runner.folder / "samples")
    total = sum(samples.values())
    whole = costs["add"]["adder"]
    runner.findings.series["profile"] = {
        "microseconds": {part: whole * n / total for part, n in samples.most_common()},
        "PostgreSQL": costs["add"]["PostgreSQL"],
        "samples": total,
        "costs": costs,
    }
    progress(f"profile: an add costs the adder {whole:.1f} us, {dict(samples)}")


def _cost(runner: Runner, adder: int, script: str, url: str) -> dict[str, float]:
    """Microseconds of processor time for one request of a script, by process."""
    families = {"adder": adder, "PostgreSQL": runner.cluster.server.pid}
    figures = runner.load(script, url, families=families)
    cost = {name: figures[f"{name} user"] + figures[f"{name} kernel"] for name in families}
    shown = ", ".join(f"{name} {microseconds:.1f} us" for name, microseconds in cost.items())
    progress(f"profile: {script} costs {shown}")
    return cost


def _record(pid: int, url: str, file: Path) -> Counter[str]:
    """Sample a process while it is under load; returns the number of samples by part.

    Raises `Missing` where py-spy can't look into it.
    """
    py_spy = str(Path(sys.executable).with_name("py-spy"))  # `make bench` installs it
    command = [py_spy, "record", "--pid", str(pid), "--native", "--format", "raw"]
    timing = ["--rate", str(_RATE), "--duration", str(_RECORD_SECONDS), "--output", str(file)]
    whole = _PREPARE_SECONDS + _RECORD_SECONDS
    load = wrk.start("add", url, connections=CLIENTS, seconds=whole)
    began = time.monotonic()
    recorded = subprocess.run([*command, *timing], capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    wrk.finish(load, whole)
    if recorded.returncode != 0:
        raise Missing(f"py-spy could not look: {recorded.stderr.strip()[-300:]}")
    if took > whole:
        raise Missing(f"py-spy took {took:.0f} s, longer than there was load to look at")
    return count(file.read_text())


def count(stacks: str) -> Counter[str]:
    """Samples by part, from lines `outermost frame;...;innermost frame samples`."""
    counted: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        counted[part_of(stack.split(";"))] += int(samples)
    return counted


def part_of(stack: list[str]) -> str:
    """The part that a stack, outermost frame first, is counted to."""
    for frame in reversed(stack):
        for part, pattern in _PATTERNS.items():
            if pattern.search(frame):
                return part
    return OTHER
