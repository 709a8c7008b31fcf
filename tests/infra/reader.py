"""Somebody who follows docs/deploy.md from its first command to its last, on emulated AWS."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import boto3

from tests.infra.stand import ACCOUNT, ROOT, Emulator, aws_command, run, terraform_environment

DEPLOY = (ROOT / "docs/deploy.md").read_text()

# Blocks of commands that the emulator can't run, and what the reader does instead.
NOT_RUN = {
    "images": "there is no registry behind the emulator: the images are told to it by its API",
    "release": "building takes a minute and has tests of its own: a small file stands in",
    "edit": "an editor wants a person: the example is used as it is",
    "bastion": "no machine boots in the emulator; tests/deploy logs in to one",
    "session": "no machine boots in the emulator",
}


def blocks() -> list[tuple[str, str]]:
    """Each block of commands: its mark, if it has one, and the commands."""
    return [
        (mark, commands)
        for mark, commands in re.findall(
            r"^```sh *(\w*)\n(.*?)^```$", DEPLOY, re.MULTILINE | re.DOTALL
        )
    ]


def follow(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run every command in one shell, in a checkout of its own in a folder."""
    checkout = folder / "checkout"
    _check_out(checkout)
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    script = "\n".join(
        ["set -euo pipefail", *(_run_or_stand_in(mark, text) for mark, text in blocks())]
    )
    emulator = Emulator.start(folder)
    try:
        return run(
            ["bash", "-c", script],
            cwd=checkout,
            env=terraform_environment(folder)
            | emulator.environment
            | {
                "HOME": str(home),
                "PATH": f"{aws_command(folder / 'programs')}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                # A person says yes.
                "TF_CLI_ARGS_apply": "-auto-approve -input=false -no-color",
                "TF_CLI_ARGS_destroy": "-auto-approve -input=false -no-color",
            },
        )
    finally:
        emulator.stop()


def _check_out(folder: Path) -> None:
    """What the commands use of the project, as a commit."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for path in filter(None, tracked.stdout.split("\0")):
        if path.startswith(("infra/", "deploy/", "src/tally/aws/rds-")):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "dist").mkdir()
    (folder / "dist/tally.pex").write_bytes(b"in place of the release")
    author = ("-c", "user.name=reader", "-c", "user.email=reader@example.com")
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "infra"],
        ["git", *author, "commit", "--quiet", "--message", "A checkout"],
    ):
        subprocess.run(command, cwd=folder, check=True)


def _run_or_stand_in(mark: str, commands: str) -> str:
    stand_in = f"'{sys.executable}' -m tests.infra.reader"
    if mark == "images":
        return f"{stand_in} images"
    if mark:
        return ""
    if "denied-today/" in commands:
        return f"{stand_in} denied\n{commands}"
    return commands


def put_images() -> None:
    """Tell the emulator of two images with this commit's tag, as a push would."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True)
    for service in ("display", "reset"):
        boto3.client("ecr").put_image(
            repositoryName=f"tally/{service}",
            imageTag=commit.stdout.decode().strip(),
            imageManifest=json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                    "config": {
                        "digest": f"sha256:{sha256(service.encode()).hexdigest()}",
                        "size": 1,
                    },
                    "layers": [],
                }
            ),
        )


def put_denied_traffic() -> None:
    """Deliver a flow log of today, as AWS would."""

    def line(source: str, port: int) -> str:
        return (
            f"2 {ACCOUNT} eni-1 {source} 10.60.0.5 40000 {port} 6 1 40 1764000000 1764000060"
            " REJECT OK\n"
        )

    header = (
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes"
        " start end action log-status\n"
    )
    text = header + line("192.0.2.9", 22) + line("192.0.2.9", 22) + line("192.0.2.8", 5432)
    today = datetime.now(UTC).strftime("%Y/%m/%d")
    boto3.client("s3").put_object(
        Bucket=f"tally-denied-traffic-{ACCOUNT}",
        Key=f"AWSLogs/{ACCOUNT}/vpcflowlogs/us-east-1/{today}/{ACCOUNT}_vpcflowlogs.log.gz",
        Body=gzip.compress(text.encode()),
    )


if __name__ == "__main__":
    {"images": put_images, "denied": put_denied_traffic}[sys.argv[1]]()
