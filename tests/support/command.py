"""The tally command, run as people and scripts run it, and what came of it."""

import json
import os
import subprocess
import sys


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    stdin = environment.pop("stdin", "")
    return subprocess.run(
        [sys.executable, "-m", "tally", *arguments],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def result(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert done.returncode == status, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("tally: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return lines[0]
