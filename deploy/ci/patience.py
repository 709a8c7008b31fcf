"""Waiting for AWS, for so many minutes and no longer."""

import os
import time
from collections.abc import Iterator

from deploy.ci.refused import Refused


def patiently(minutes: float, otherwise: str) -> Iterator[None]:
    """Give a turn at once and then every few seconds; at the end raise Refused."""
    pause = float(os.environ.get("PAUSE", "10"))
    deadline = time.monotonic() + minutes * 60
    while True:
        yield
        if time.monotonic() >= deadline:
            raise Refused(f"{otherwise} after {minutes:g} minutes.")
        time.sleep(pause)
