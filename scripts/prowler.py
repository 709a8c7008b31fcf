"""Ask Prowler what it finds in the deployment, applied to an emulated AWS: `make prowler`.

What it finds in things that carry the deployment's tag is waived in infra/waivers.toml, with a
reason, or it fails. The rest is the account's own, or the emulator's. Prowler is not installed for
this: its packages take 2 GB.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from tests.support.deployment import REGION, Deployment, Emulator
from tests.support.paths import INFRA

NAME = "tally"
# Those that the deployment uses.
SERVICES = (
    *("acm", "autoscaling", "cloudfront", "cloudwatch", "ec2", "ecr", "ecs", "elbv2", "iam", "kms"),
    *("rds", "s3", "secretsmanager", "sns", "ssm", "vpc", "wafv2"),
)
Finding = tuple[str, str]
"""A check, and the name of what it found fault with."""


def main() -> int:
    """Return 0 if all is waived and each waiver is needed, 1 if not, 2 without Prowler."""
    prowler = shutil.which("prowler")
    if prowler is None:
        sys.stderr.write("Prowler is not on the path: pipx install prowler==5.46.0\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="tally-prowler-") as folder:
        deployment = Deployment.start(NAME, "production", Path(folder) / "deployment")
        try:
            deployment.apply()
            found = findings(prowler, deployment.emulator, Path(folder))
        finally:
            deployment.stop()
    waivers = tomllib.loads((INFRA / "waivers.toml").read_text())["prowler"]
    waived = {(check, name) for check, it in waivers.items() for name in it["resources"]}
    unwaived = {it for it in found if not any(matches(it, waiver) for waiver in waived)}
    stale = {it for it in waived if not any(matches(finding, it) for finding in found)}
    for check, resource in sorted(unwaived):
        sys.stdout.write(f"found and not waived: {check}: {resource}\n")
    for check, resource in sorted(stale):
        sys.stdout.write(f"waived and not found: {check}: {resource}\n")
    sys.stdout.write(f"{len(found)} findings, {len(unwaived)} not waived\n")
    return 1 if unwaived or stale else 0


def findings(prowler: str, emulator: Emulator, folder: Path) -> set[Finding]:
    """What Prowler says of things of the deployment."""
    subprocess.run(
        [
            *(prowler, "aws", "--region", REGION, "--services", *SERVICES),
            *("--output-formats", "csv", "--output-directory", str(folder)),
            *("--output-filename", "found", "--no-banner", "--ignore-exit-code-3"),
        ],
        env=os.environ | emulator.environment,
        stdout=sys.stderr,
        check=True,
    )
    with (folder / "found.csv").open() as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    if not any(row["STATUS"] == "PASS" for row in rows):
        raise RuntimeError("Prowler found nothing at all")
    return {
        (row["CHECK_ID"], tags.get("Name", row["RESOURCE_NAME"]))
        for row in rows
        for tags in [tags_of(row)]
        if row["STATUS"] == "FAIL" and tags.get("Deployment") == NAME
    }


def tags_of(row: dict[str, str]) -> dict[str, str]:
    """The tags of what a row is about."""
    pairs = [tag.partition("=") for tag in row["RESOURCE_TAGS"].split(" | ")]
    return {key: value for key, _, value in pairs}


def matches(finding: Finding, waiver: Finding) -> bool:
    """Whether a waiver is for a finding."""
    return finding[0] == waiver[0] and fnmatch(finding[1], waiver[1])


if __name__ == "__main__":
    sys.exit(main())
