"""The documents of the deployment, held to the files and followed to the letter."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from tests.infra.stand import INFRA, ROOT, Emulator, Stand, planned, terraform_environment

DEPLOY = (ROOT / "docs/deploy.md").read_text()

# Blocks of commands that the emulator can't run, and what the test does instead.
NOT_RUN = {
    "images": "there is no registry behind the emulator: the images are told to it by its API",
    "release": "building takes a minute and has tests of its own: a small file stands in",
    "edit": "an editor wants a person: the example is used as it is",
    "bastion": "no machine boots in the emulator",
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


def test_every_block_that_is_not_run_has_its_reason() -> None:
    assert {mark for mark, _ in blocks() if mark} == set(NOT_RUN)


def test_a_reader_can_follow_it_from_first_to_last(terraform: None, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for path in filter(None, tracked.stdout.split("\0")):
        if path.startswith(("infra/", "deploy/")):
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, checkout / path)
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    (checkout / "dist").mkdir()
    (checkout / "dist/tally.pex").write_bytes(b"in place of the release")
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "infra"],
        [
            *("git", "-c", "user.name=reader", "-c", "user.email=reader@example.com"),
            *("commit", "--quiet", "--message", "A checkout"),
        ],
    ):
        subprocess.run(command, cwd=checkout, check=True)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    emulator = Emulator.start(tmp_path)
    script = "\n".join(
        ["set -euo pipefail", *(_run_or_stand_in(mark, text) for mark, text in blocks())]
    )
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=checkout,
            env=terraform_environment(tmp_path)
            | emulator.environment
            | {
                "HOME": str(home),
                "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                # A person says yes.
                "TF_CLI_ARGS_apply": "-auto-approve -input=false -no-color",
                "TF_CLI_ARGS_destroy": "-auto-approve -input=false -no-color",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        emulator.stop()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^https://\w+\.cloudfront\.net$", done.stdout, re.MULTILINE)
    # Who was refused: the address that knocked twice comes first.
    assert re.search(r"^ +2 192\.0\.2\.9 22\n +1 192\.0\.2\.8 5432$", done.stdout, re.MULTILINE)
    assert "Destroy complete!" in done.stdout


def _run_or_stand_in(mark: str, commands: str) -> str:
    if mark == "images":
        return f"{sys.executable} -m tests.infra.test_docs images"
    if mark:
        return ""
    if "denied-today/" in commands:
        return f"{sys.executable} -m tests.infra.test_docs denied\n{commands}"
    return commands


def put_images() -> None:
    """Tell the emulator of two images with this commit's tag, as a push would."""
    import boto3  # noqa: PLC0415 - only in the process that the script starts

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
    import boto3  # noqa: PLC0415 - only in the process that the script starts

    def line(source: str, port: int) -> str:
        return (
            f"2 123456789012 eni-1 {source} 10.60.0.5 40000 {port} 6 1 40 1764000000 1764000060"
            " REJECT OK\n"
        )

    header = (
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes"
        " start end action log-status\n"
    )
    text = header + line("192.0.2.9", 22) + line("192.0.2.9", 22) + line("192.0.2.8", 5432)
    today = datetime.now(UTC).strftime("%Y/%m/%d")
    boto3.client("s3").put_object(
        Bucket="tally-denied-traffic-123456789012",
        Key=f"AWSLogs/123456789012/vpcflowlogs/us-east-1/{today}/123456789012_vpcflowlogs.log.gz",
        Body=gzip.compress(text.encode()),
    )


def edges() -> set[tuple[str, str, int]]:
    """The diagram's arrows: from, to, port."""
    [diagram] = re.findall(r"```mermaid\n(.*?)```", DEPLOY, re.DOTALL)
    return {
        (source, target, int(port))
        for source, port, target in re.findall(
            r'^ +([\w-]+)\S*(?:[^-\n]*\S)? -- "(\d+)" --> ([\w-]+)', diagram, re.MULTILINE
        )
    }


def test_the_diagram_shows_the_security_groups_rules(production: Stand) -> None:
    resources = planned(production)
    role_of = {
        it["values"]["id"]: it["index"] for it in resources if it["type"] == "aws_security_group"
    }
    rules = {
        (
            role_of[it["values"]["referenced_security_group_id"]],
            role_of[it["values"]["security_group_id"]],
            it["values"]["to_port"],
        )
        for it in resources
        if it["type"] == "aws_vpc_security_group_ingress_rule"
        and it["values"]["referenced_security_group_id"]
    }
    outside = {edge for edge in edges() if edge[0] in ("internet", "cloudfront", "operator")}
    assert outside == {
        ("internet", "cloudfront", 443),
        ("cloudfront", "load-balancer", 80),
        ("operator", "bastion", 22),
    }
    assert edges() - outside == rules


def test_every_file_of_the_requirements_exists() -> None:
    table = (ROOT / "docs/requirements.md").read_text()
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 40
    for row in rows:
        for file in re.findall(r"`([^`]+)`", row[3]):
            path = ROOT if file.startswith("deploy/") else INFRA
            assert (path / file).exists(), file


def test_every_row_of_the_requirements_is_a_row_of_the_check() -> None:
    check = pytest.importorskip("tally.aws.check", reason="tally check is not there")
    known = {requirement.id for requirement in check.requirements()}
    table = (ROOT / "docs/requirements.md").read_text()
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][2:]
    named = {row for line in rows for row in re.findall(r"`([^`]+)`", line[4])}
    assert named - known == set()


def test_the_costs_add_up() -> None:
    text = (ROOT / "docs/costs.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    amounts = [
        (float(row[2]), float(row[3]))
        for row in rows
        if len(row) == 4 and re.fullmatch(r"\d+\.\d\d", row[2])
    ]
    assert len(amounts) > 10
    together = re.search(r"\*\*together\*\* \| \| \*\*([\d.]+)\*\* \| \*\*([\d.]+)\*\*", text)
    assert together is not None
    small, production = (round(sum(column), 2) for column in zip(*amounts, strict=True))
    assert (small, production) == (float(together[1]), float(together[2]))


def test_the_costs_are_those_of_the_profiles(stands: dict[str, Stand]) -> None:
    """The counts in the table are counted in the plans."""
    text = (ROOT / "docs/costs.md").read_text()
    for stand, endpoints, zones, alarms in (
        (stands["small"], 4, 1, 14),
        (stands["production"], 6, 2, 14),
    ):
        resources = planned(stand)
        interfaces = [
            it
            for it in resources
            if it["type"] == "aws_vpc_endpoint" and it["values"]["vpc_endpoint_type"] == "Interface"
        ]
        assert len(interfaces) == endpoints
        assert {len(it["values"]["subnet_ids"]) for it in interfaces} == {zones}
        watched = [it for it in resources if it["type"] == "aws_cloudwatch_metric_alarm"]
        assert len(watched) == alarms
    assert "alarms (14)" in text
    assert "(4 in one zone; 6 in two)" in text


def test_waivers_are_readable() -> None:
    assert tomllib.loads((INFRA / "waivers.toml").read_text())


if __name__ == "__main__":
    {"images": put_images, "denied": put_denied_traffic}[sys.argv[1]]()
