"""docs/files.md: its commands, run in their order."""

import os
import re
import subprocess
import sys

from tests.support.documents import examples
from tests.support.paths import ROOT

GUIDE = (ROOT / "docs/files.md").read_text()
MOMENT = re.compile(r"\d{4}-\d\d-\d\d at \d\d:\d\d:\d\d UTC")


def test_every_example_prints_what_the_guide_shows(ledger, tmp_path) -> None:
    command = tmp_path / "bin" / "tally"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tally "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "TALLY_DATABASE_URL": ledger.owner_url,
    }
    shown = list(examples(GUIDE))
    assert len(shown) >= 12
    for line, output in shown:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        refusals = [said for said in done.stderr.splitlines() if said.startswith("tally: ")]
        assert (done.returncode != 0) == bool(refusals), done
        printed = MOMENT.sub("2026-11-24 at 12:00:00 UTC", done.stdout)
        assert [*printed.splitlines(), *refusals] == output.splitlines(), line
