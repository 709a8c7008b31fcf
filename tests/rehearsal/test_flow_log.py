"""What is dropped stands in the flow log's bucket, as the guide's own command reads it."""

import os
import subprocess
from collections import Counter

from rehearsal.outcome import Outcome
from rehearsal.reach import look
from rehearsal.reachability import cells
from tests.support.deployment import aws_command, terraform_environment
from tests.support.guide_runner import sections
from tests.support.paths import INFRA


def test_the_guides_command_lists_what_was_refused(account, probed, tmp_path, production):
    found = account()
    hosts = [it for it in found.interfaces if it.name in ("display", "database")]
    with probed(found) as (_, prober):
        seen = look(found, prober, cells(found, hosts))
    refused = [it for it in seen.seen if it.tried != Outcome.PASSES]
    assert seen.disagreements == []
    assert 0 < len(refused) < len(seen.seen)
    bucket, key = seen.delivered.bucket, seen.delivered.key
    programs = aws_command(tmp_path / "programs")
    # The day may have ended meanwhile.
    day = programs / "date"
    day.write_text(f"#!/bin/sh\necho {'/'.join(key.split('/')[-4:-1])}\n")
    day.chmod(0o755)
    (tmp_path / "infra").symlink_to(INFRA)
    [(_, command)] = sections()["Read the flow logs"]
    done = subprocess.run(
        ["sh", "-euc", command],
        cwd=tmp_path,
        env=terraform_environment(production.folder)
        | production.emulator.environment
        | {
            "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
            "PATH": f"{programs}:{os.environ['PATH']}",
            "TF_DATA_DIR": str(production.folder / f"data-{INFRA.name}"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert bucket.startswith("tally-denied-traffic-")
    wanted = Counter(f"{it.cell.source.address} {it.cell.port}" for it in refused)
    said = dict(line.split(maxsplit=1)[::-1] for line in done.stdout.splitlines())
    assert len(said) == 20
    assert {name: int(count) for name, count in said.items()}.items() <= wanted.items()
