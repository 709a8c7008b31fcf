"""A PostgreSQL that a test may stop and start."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tally.embedded import postgres


@pytest.fixture
def database():
    """Those started so far; the newest is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tally-outage-"))
    folder.chmod(0o755)
    servers = [postgres.start(folder / "data")]
    yield servers
    servers[-1].stop()
    shutil.rmtree(folder, ignore_errors=True)
