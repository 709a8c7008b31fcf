"""Releases as a deployment makes them."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.guests.cloud import Cloud

PROJECT = Path(__file__).parents[3]
_PARTS = ("LICENSE", "README.md", "pyproject.toml", "requirements", "scripts", "src")
CERTIFICATES = "deploy/rds-us-east-1.pem"


@dataclass(frozen=True)
class Release:
    """A release in the bucket."""

    file: Path
    key: str
    sha256: str


def copy_of_sources(folder: Path, version: str) -> Path:
    """Copy what a release is built from, with a version."""
    folder.mkdir()
    for part in _PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, folder / part)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    module = folder / "src/tally/__init__.py"
    text = re.sub('__version__ = ".*"', f'__version__ = "{version}"', module.read_text())
    module.write_text(text)
    return folder


def build(sources: Path) -> tuple[Path, str]:
    """Build a release and return its file and sha256, as `make release` prints it."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("only Python 3.11 builds the release: run `make clean test PYTHON=python3.11`")
    done = subprocess.run(
        [sources / "scripts/release"], check=True, stdout=subprocess.PIPE, text=True
    )
    sha256, file = done.stdout.split()
    return sources / file, sha256


def publish(folder: Path, cloud: Cloud, version: str) -> Release:
    """Build a release of this version, and put it into the bucket."""
    file, sha256 = build(copy_of_sources(folder / version, version))
    key = f"adder/{version}/tally.pex"
    cloud.upload(file, key)
    return Release(file, key, sha256)
