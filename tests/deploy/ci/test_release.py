"""What was built is pushed under its commit, and recorded as the release that Terraform takes."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.ci import __main__ as steps
from deploy.ci import release as releases
from deploy.ci.refused import Refused
from tests.support.checkout import DEPLOYMENTS, NAME
from tests.support.deployment import ACCOUNT, REGION, Deployment
from tests.support.paths import INFRA
from tests.support.processes import unused_port, wait_until_answered
from tests.support.programs import need

COMMIT = "c" * 40
BUCKET = f"{NAME}-releases-{ACCOUNT}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container registry on this machine: the emulated ECR takes no images."""
    need("docker-registry", "skopeo")
    folder = tmp_path_factory.mktemp("registry")
    port = unused_port()
    configuration = folder / "config.yml"
    configuration.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
        )
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(configuration)], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_answered(f"{url}/v2/", process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def write_image(file: Path, content: bytes) -> None:
    """An OCI archive of an image with one file, as the image specification lays it out."""

    def tar(files: dict[str, bytes]) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return packed.getvalue()

    blobs: dict[str, bytes] = {}

    def blob(kind: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    layer = tar({"file": content})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [blob("layer.v1.tar+gzip", gzip.compress(layer, mtime=0))],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [blob("manifest.v1+json", json.dumps(manifest).encode())],
    }
    file.write_bytes(
        tar(
            {
                "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
                "index.json": json.dumps(index).encode(),
                **blobs,
            }
        )
    )


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What the build job hands over."""
    for service in ("display", "reset"):
        write_image(tmp_path / f"{service}.tar", service.encode())
    (tmp_path / "tally.pex").write_bytes(b"the adder")
    return tmp_path


@pytest.fixture
def aws(account: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """The account as the job reaches it, and no release of this commit in it."""
    for name, value in account.emulator.environment.items():
        monkeypatch.setenv(name, value)
    yield account
    s3 = account.client("s3")
    for version in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        if COMMIT in version["Key"]:
            s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])


def step(name: str, dist: Path, *arguments: str) -> None:
    CliRunner().invoke(
        steps.main,
        [name, "--dist", str(dist), *arguments],
        catch_exceptions=False,
        env={
            "DEPLOYMENTS": DEPLOYMENTS,
            "ENVIRONMENT": "production",
            "GITHUB_OUTPUT": str(dist / "output"),
            "GITHUB_STEP_SUMMARY": str(dist / "page"),
        },
    )


def push(dist: Path, registry: str) -> None:
    step("push", dist, "--commit", COMMIT, "--registry", registry)


def newest_image(aws: Deployment) -> str:
    parameter = aws.client("ssm").get_parameter(Name=releases.IMAGE_PARAMETER)["Parameter"]
    return str(parameter["Value"])


def test_a_release_is_what_was_pushed(aws: Deployment, registry: str, dist: Path) -> None:
    push(dist, registry)
    step("record", dist)

    text = releases.read(aws.client("s3"), BUCKET, COMMIT)
    release = json.loads(text)["release"]
    assert release["version"] == COMMIT
    for service in ("display", "reset"):
        image, _, digest = release[f"{service}_image"].partition("@")
        assert image == f"{registry.removeprefix('http://')}/{NAME}/{service}"
        # The registry knows the image by its commit, and it is the one that was built.
        request = urllib.request.Request(
            f"{registry}/v2/{NAME}/{service}/manifests/{COMMIT}",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            manifest = answer.read()
        assert digest == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        # What attestations are made for.
        outputs = (dist / "output").read_text().splitlines()
        assert f"{service}-name={image}" in outputs
        assert f"{service}-digest={digest}" in outputs
    stored = aws.client("s3").get_object(Bucket=BUCKET, Key=release["adder_key"])["Body"].read()
    assert stored == b"the adder"
    assert release["adder_sha256"] == hashlib.sha256(stored).hexdigest()
    assert release["adder_image"] == newest_image(aws)
    assert text in (dist / "page").read_text()


def test_terraform_takes_the_record(aws: Deployment, registry: str, dist: Path) -> None:
    """The variable's own rules, which infra/variables.tf holds."""
    push(dist, registry)
    release = json.loads((dist / "release.json").read_text())
    assert set(release) == {"release"}
    declared = (INFRA / "variables.tf").read_text()
    for name in release["release"]:
        assert f"var.release.{name}" in declared


def test_the_same_again_changes_nothing(aws: Deployment, registry: str, dist: Path) -> None:
    push(dist, registry)
    step("record", dist)
    push(dist, registry)
    step("record", dist)


def test_a_recorded_release_keeps_its_machine_image(
    aws: Deployment, registry: str, dist: Path
) -> None:
    """Amazon publishes another image, and a job that failed after the record is run again."""
    push(dist, registry)
    release = json.loads((dist / "release.json").read_text())["release"]
    older = releases.Release(**{**release, "adder_image": "ami-00000000"})
    releases.record(aws.client("s3"), BUCKET, older)
    push(dist, registry)
    step("record", dist)
    assert releases.read(aws.client("s3"), BUCKET, COMMIT) == older.to_json()


def test_a_record_that_names_no_machine_image_is_refused(
    aws: Deployment, registry: str, dist: Path
) -> None:
    push(dist, registry)
    release = json.loads((dist / "release.json").read_text())
    del release["release"]["adder_image"]
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key=f"releases/{COMMIT}.json", Body=json.dumps(release).encode())
    with pytest.raises(Refused, match=r"its record lacks adder_image\. Choose another release"):
        releases.read(s3, BUCKET, COMMIT)


def test_the_role_that_builds_may_ask_which_image_is_the_newest_and_nothing_else(
    account: Deployment,
) -> None:
    iam = account.client("iam")
    arn = f"arn:aws:iam::{ACCOUNT}:policy/{NAME}-ci-build"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
    [statement] = [
        statement
        for statement in policy["Document"]["Statement"]
        if "ssm:" in json.dumps(statement["Action"])
    ]
    assert statement["Action"] == "ssm:GetParameter"
    # A parameter of AWS's own is in no account.
    assert statement["Resource"] == f"arn:aws:ssm:{REGION}::parameter{releases.IMAGE_PARAMETER}"


def test_a_released_file_is_never_replaced(aws: Deployment, registry: str, dist: Path) -> None:
    push(dist, registry)
    (dist / "tally.pex").write_bytes(b"another adder")
    with pytest.raises(Refused, match="already exists and differs"):
        push(dist, registry)


def test_a_tag_is_never_moved(aws: Deployment, registry: str, dist: Path) -> None:
    """The repository has the tag for another image, from another build of the commit."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": f"sha256:{'0' * 64}",
            "size": 2,
        },
        "layers": [],
    }
    ecr = aws.client("ecr")
    place = {"repositoryName": f"{NAME}/display"}
    ecr.put_image(**place, imageManifest=json.dumps(manifest), imageTag=COMMIT)
    try:
        with pytest.raises(Refused, match="A tag never moves"):
            push(dist, registry)
    finally:
        ecr.batch_delete_image(**place, imageIds=[{"imageTag": COMMIT}])
    s3 = aws.client("s3")
    with pytest.raises(Refused, match="There is no release"):
        releases.read(s3, BUCKET, COMMIT)
