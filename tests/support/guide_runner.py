"""Runs docs/deploy.md from its first command to its last, on emulated AWS."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.deployment import (
    ACCOUNT,
    Emulator,
    aws_command,
    run,
    terraform_environment,
)
from tests.support.lifecycle import password_versions, running_versions
from tests.support.paths import ROOT

DEPLOY = (ROOT / "docs/deploy.md").read_text()

# Blocks of commands that the emulator can't run, and what the guide runner does instead.
NOT_RUN = {
    "images": "there is no registry behind the emulator: the images are told to it by its API",
    "release": "building takes a minute and has tests of its own: a small file stands in",
    "github": "there is no GitHub: tests/deploy/ci runs the command, and the workflows' own steps",
    "edit": "an editor wants a person: the example is used as it is",
    "bastion": "no machine boots in the emulator; tests/deploy logs in to one",
    "session": "no machine boots in the emulator",
}


# Sections after each of whose blocks the guide runner looks what runs.
LOOKED_AT = ("Upgrade and roll back", "Rotate the passwords")
SEEN = "The guide runner sees "


def sections() -> dict[str, list[tuple[str, str]]]:
    """Each section's blocks of commands: a block's mark, if it has one, and the commands."""
    return {
        section.partition("\n")[0]: re.findall(
            r"^```sh *(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL
        )
        for section in re.split(r"^## ", DEPLOY, flags=re.MULTILINE)[1:]
    }


def commands() -> Iterator[str]:
    """What is run, in order; two sections send back to what was run before."""
    for section, blocks in sections().items():
        texts = [_run_or_stand_in(mark, text) for mark, text in blocks]
        if section == "Upgrade and roll back":
            yield _stand_in("commit")
            yield from (_run_or_stand_in(mark, text) for mark, text in sections()["A release"])
        for text in texts * 2 if section == "Rotate the passwords" else texts:
            yield text
            if section in LOOKED_AT:
                yield _stand_in("look")


def follow(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run every command in one shell, in a checkout of its own in a folder."""
    checkout = folder / "checkout"
    _check_out(checkout)
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    script = "\n".join(["set -euo pipefail", *commands()])
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
    """The project as it stands here, as somebody would clone it: with nothing prepared."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    tracked = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    for path in filter(None, tracked.stdout.split("\0")):
        if (ROOT / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    for command in (["git", "init", "--quiet"], ["git", "add", "--all"]):
        subprocess.run(command, cwd=folder, check=True)
    commit(folder)


def _run_or_stand_in(mark: str, commands: str) -> str:
    if mark in ("images", "release"):
        return _stand_in(mark)
    if mark:
        return ""
    if "denied-today/" in commands:
        return f"{_stand_in('denied')}\n{commands}"
    return commands


def _stand_in(what: str) -> str:
    return f"'{sys.executable}' -m tests.support.guide_runner {what}"


def commit(folder: Path = Path()) -> None:
    """Commit what is staged, or nothing: every commit is one that can be released."""
    author = ("-c", "user.name=guide", "-c", "user.email=guide@example.com")
    subprocess.run(
        ["git", *author, "commit", "--quiet", "--allow-empty", "--message", "A commit"],
        cwd=folder,
        check=True,
    )


def _head() -> str:
    said = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return said.stdout.strip()


def build() -> None:
    """Write a small file where the adder's release would be, another one for each commit."""
    Path("dist").mkdir(exist_ok=True)
    Path("dist/tally.pex").write_text(f"in place of the release of {_head()}")


def _client(service: str) -> Any:
    import boto3

    return boto3.client(service)


def put_images() -> None:
    """Tell the emulator of two images with this commit's tag, as a push would."""
    version = _head()
    for service in ("display", "reset"):
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {
                    "digest": f"sha256:{sha256(f'{service} {version}'.encode()).hexdigest()}",
                    "size": 1,
                },
                "layers": [],
            }
        )
        _client("ecr").put_image(
            repositoryName=f"tally/{service}",
            imageTag=version,
            imageManifest=manifest,
            # By itself the emulator takes the layers' digest, and there are none.
            imageDigest=f"sha256:{sha256(manifest.encode()).hexdigest()}",
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
    _client("s3").put_object(
        Bucket=f"tally-denied-traffic-{ACCOUNT}",
        Key=f"AWSLogs/{ACCOUNT}/vpcflowlogs/us-east-1/{today}/{ACCOUNT}_vpcflowlogs.log.gz",
        Body=gzip.compress(text.encode()),
    )


def look() -> None:
    """Print the newest commit, the release and the passwords' version of all that runs."""
    seen = {
        "head": _head(),
        "releases": running_versions("tally", _client),
        "passwords": sorted(password_versions("tally", _client)),
    }
    sys.stdout.write(f"{SEEN}{json.dumps(seen)}\n")


def looks(said: str) -> list[dict[str, Any]]:
    """What was seen, from what was printed."""
    return [json.loads(it) for it in re.findall(rf"^{SEEN}(.*)$", said, re.MULTILINE)]


if __name__ == "__main__":
    {
        "commit": commit,
        "release": build,
        "images": put_images,
        "denied": put_denied_traffic,
        "look": look,
    }[sys.argv[1]]()
