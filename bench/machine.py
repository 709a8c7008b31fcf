"""What was measured on and with: the machine, the versions, the commit."""

import importlib.metadata
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.database import Cluster, filesystem
from bench.process import ROOT, Missing, need

_PACKAGES = (
    *("uvicorn", "uvloop", "asyncpg", "starlette", "msgspec"),
    *("flask", "gunicorn", "sqlalchemy", "psycopg", "fastapi"),
)


def describe(cluster: Cluster) -> dict[str, object]:
    """Everything a reader needs to judge the figures, for the results file."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "machine": {
            "processor": _first("/proc/cpuinfo", r"model name\s*: (.+)"),
            "cores": os.cpu_count(),
            "memory_gb": round(int(_first("/proc/meminfo", r"MemTotal:\s+(\d+)")) / 2**20, 1),
            "kernel": platform.release(),
            "filesystem": filesystem(cluster.server.directory),
        },
        "versions": {
            "Python": platform.python_version(),
            "PostgreSQL": str(cluster.value("postgres", "SHOW server_version")).split()[0],
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
            **_version("Go", "go", "version", r"go(\d\S+)"),
            **_version("Redis", "redis-server", "--version", r"v=(\S+)"),
            **_version("wrk", "wrk", "-v", r"wrk (\S+)"),
        },
    }


def _first(file: str, pattern: str) -> str:
    found = re.search(pattern, Path(file).read_text())
    return found[1] if found else "unknown"


def _git(*arguments: str) -> str:
    asked = ["git", *arguments]
    return subprocess.run(
        asked, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def _version(name: str, program: str, option: str, pattern: str) -> dict[str, str]:
    """What a program says its version is; nothing where it is missing."""
    try:
        asked = [need(program), option]
    except Missing:
        return {}
    # wrk tells its version and then fails for want of an address.
    said = subprocess.run(asked, check=False, capture_output=True, text=True).stdout
    found = re.search(pattern, said)
    return {name: found[1] if found else "unknown"}
