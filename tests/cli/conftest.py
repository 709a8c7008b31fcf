"""The command on a ledger of its own."""

import subprocess
from collections.abc import Callable

import pytest

from tests.support.command import run


@pytest.fixture
def tally(ledger) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command on an empty ledger of its own."""

    def tally(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run(*arguments, TALLY_DATABASE_URL=ledger.owner_url, stdin=stdin)

    return tally
