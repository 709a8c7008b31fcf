"""All out as CSV, and a file in, each beside psql's \\copy."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.goals import Measure, at_least, at_most
from bench.process import HOST, ROOT, Process
from bench.rounds import Figures, Invalid
from bench.runner import EXPORT, Runner, progress

IMPORTED = 10**6
_BUFFER = 1 << 20
# What an export may stall, in seconds, before the display itself ends it.
_STALL_SECONDS = 30

EXPORT_RATE = Measure(
    "export",
    "CSV export of {many:,} entries against psql \\copy",
    must=at_least(0.3),
    aim=at_least(0.6),
)
EXPORT_MEMORY = Measure("export/memory", "... memory added", "MB", must=at_most(50))
IMPORT_RATE = Measure(
    "import",
    "CLI import of 1,000,000 values against psql \\copy",
    must=at_least(0.05),
    aim=at_least(0.3),
)
IMPORT_MEMORY = Measure("import/memory", "... memory", "MB", must=at_most(100))


class CutShort(Invalid):
    """An export ended before its end."""


def run_export(runner: Runner) -> None:
    """The export of many entries, by HTTP and by psql."""
    many = runner.pace.many
    ledger = runner.filled(many)
    copy = f"\\copy ({_SAME} ORDER BY id) TO /dev/null WITH (FORMAT csv, HEADER)"
    with runner.tally("display", ledger) as display:
        rounds = runner.interleave(
            "export",
            {
                "Tally": lambda: _export(display, many),
                "psql": lambda: _timed(lambda: runner.cluster.psql(ledger, copy), many),
            },
            runner.pace.heavy_rounds,
        )
    runner.findings.add(EXPORT_RATE.about(many=many), rounds.ratio("Tally", "psql"), rounds)
    runner.findings.add(EXPORT_MEMORY, rounds.spread("Tally", "memory"), rounds)


_SAME = "SELECT id, value, sum_after, added_at FROM tally.entry"


def _export(display: Process, many: int) -> Figures:
    """Take a whole export and throw it away; entries a second, and megabytes added."""
    display.forget_peak()
    before = display.memory()
    figures = _timed(lambda: _drain(display.port), many)
    return {**figures, "memory": display.memory("VmHWM") - before}


def _drain(port: int) -> None:
    """Read an export, as cheaply as Python can, up to the mark of its end."""
    end = b"0\r\n\r\n"
    request = f"GET {EXPORT} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    buffer = bytearray(_BUFFER)
    last = b""
    with socket.create_connection((HOST, port), timeout=_STALL_SECONDS) as connection:
        connection.sendall(request.encode())
        while size := connection.recv_into(buffer):
            last = (last + buffer[max(0, size - len(end)) : size])[-len(end) :]
    if last != end:
        raise CutShort(f"the export ended with {last!r}")


def run_import(runner: Runner) -> None:
    """The import of a file, by `tally add --file` and by psql."""
    file = runner.folder / "values.csv"
    progress(f"writing a file of {IMPORTED:,} values")
    with file.open("w") as lines:
        lines.write("value\n")
        lines.writelines(f"{number % 1000}.25\n" for number in range(IMPORTED))
    # psql runs as whoever runs this, so it can read the file.
    copy = f"\\copy plain FROM '{file}' WITH (FORMAT csv, HEADER)"
    with (
        runner.ledger("import") as ledger,
        runner.tables("import-psql", "CREATE TABLE plain (value numeric NOT NULL)") as plain,
    ):
        rounds = runner.interleave(
            "import",
            {
                "Tally": lambda: _import(runner.cluster.url(ledger), file),
                "psql": lambda: _timed(lambda: runner.cluster.psql(plain, copy), IMPORTED),
            },
            runner.pace.heavy_rounds,
        )
    runner.findings.add(IMPORT_RATE, rounds.ratio("Tally", "psql"), rounds)
    runner.findings.add(IMPORT_MEMORY, rounds.spread("Tally", "memory"), rounds)


def _import(url: str, file: Path) -> Figures:
    """Import once more; values a second, and the command's memory at most, in MB."""
    # A file counts once; a label of its own makes it count again.
    command = [sys.executable, "-m", "tally", "add", "--file", str(file)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--again", str(time.monotonic_ns())],
        cwd=ROOT,
        env={**os.environ, "TALLY_DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - began
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"rate": IMPORTED / took, "memory": usage.ru_maxrss / 1024}


def _timed(work: Callable[[], None], count: int) -> Figures:
    began = time.perf_counter()
    work()
    return {"rate": count / (time.perf_counter() - began)}
