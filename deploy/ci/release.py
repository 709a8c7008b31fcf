"""A release: the files built from one commit, their places and their digests.

Its record is a small JSON file in the release bucket, written last and never changed. It holds the
value of the Terraform variable `release`.
"""

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from deploy.ci.refused import Refused

SERVICES = ("display", "reset")
# Amazon's name for its newest machine image; infra/bootstrap allows reading exactly this name.
IMAGE_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


@dataclass(frozen=True)
class Release:
    """The Terraform variable `release`."""

    version: str
    display_image: str
    reset_image: str
    adder_key: str
    adder_sha256: str
    adder_image: str

    def to_json(self) -> str:
        """A file of Terraform variables."""
        return json.dumps({"release": asdict(self)}, indent=2) + "\n"


def read(s3: Any, bucket: str, version: str) -> str:
    """The record of a release, as JSON; raise Refused if it is missing or incomplete."""
    if not re.fullmatch("[0-9a-f]{40}", version):
        raise Refused(f"{version!r} is not a release: give a full commit, 40 hexadecimal digits.")
    text = _recorded(s3, bucket, version)
    if text is None:
        raise Refused(
            f"There is no release {version}: s3://{bucket}/{_record(version)} is missing."
            " build-containers.yml records one for each commit on main."
        )
    missing = {field.name for field in fields(Release)} - set(json.loads(text)["release"])
    if missing:
        raise Refused(
            f"The release {version} can't be planned: its record lacks"
            f" {', '.join(sorted(missing))}. Choose another release. To run this one's code again,"
            " revert the commits after it on main, which makes a new release."
        )
    return text


def record(s3: Any, bucket: str, release: Release) -> None:
    """Write the record of a release; raise Refused if the commit already has another."""
    text = release.to_json().encode()
    _put_once(s3, bucket, _record(release.version), text, "application/json")


def upload_adder(s3: Any, bucket: str, version: str, file: Path) -> tuple[str, str]:
    """Upload the adder's file; give its key and SHA-256."""
    key = f"adder/{version}.pex"
    content = file.read_bytes()
    _put_once(s3, bucket, key, content, "application/octet-stream")
    return key, hashlib.sha256(content).hexdigest()


def adder_image(ssm: Any, s3: Any, bucket: str, version: str) -> str:
    """The image of the adder's machines: the recorded one or, without a record, Amazon's newest.

    A job that runs again thus finds the same image, even if Amazon has published a newer one.
    """
    if text := _recorded(s3, bucket, version):
        return str(json.loads(text)["release"]["adder_image"])
    return str(ssm.get_parameter(Name=IMAGE_PARAMETER)["Parameter"]["Value"])


@dataclass(frozen=True)
class Registry:
    """The registry for images: ECR, or in a test one on this machine."""

    ecr: Any
    # https://<account>.dkr.ecr.<region>.amazonaws.com; http:// on this machine.
    url: str
    # The file with the login, if the registry needs one.
    login: Path | None = None

    def push(self, repository: str, version: str, archive: Path) -> str:
        """Push an OCI archive, tagged by its commit; return the image by its digest.

        Raise Refused if the tag already names another image.
        """
        address = urlsplit(self.url)
        image = f"{address.netloc}/{repository}"
        digest = _skopeo("inspect", "--format={{.Digest}}", f"oci-archive:{archive}")
        there = self._digest(repository, version)
        if there not in {None, digest}:
            raise Refused(
                f"{image}:{version} is already {there}, and this build is {digest}."
                " A tag never moves: run only the failed jobs again."
            )
        if there is None:
            _skopeo(
                "copy",
                "--preserve-digests",
                f"--dest-tls-verify={str(address.scheme == 'https').lower()}",
                *([f"--authfile={self.login}"] if self.login else []),
                f"oci-archive:{archive}",
                f"docker://{image}:{version}",
            )
        return f"{image}@{digest}"

    def _digest(self, repository: str, tag: str) -> str | None:
        try:
            found = self.ecr.describe_images(
                repositoryName=repository, imageIds=[{"imageTag": tag}]
            )
        except self.ecr.exceptions.ImageNotFoundException:
            return None
        return str(found["imageDetails"][0]["imageDigest"])


@contextmanager
def logged_in(ecr: Any) -> Iterator[Registry]:
    """Stay logged in to ECR while the block runs."""
    granted = ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(granted["authorizationToken"]).decode().partition(":")
    with TemporaryDirectory() as folder:
        login = Path(folder) / "auth.json"
        registry = Registry(ecr, granted["proxyEndpoint"], login)
        _skopeo(
            "login",
            f"--authfile={login}",
            f"--username={user}",
            "--password-stdin",
            urlsplit(registry.url).netloc,
            given=password,
        )
        yield registry


def _record(version: str) -> str:
    return f"releases/{version}.json"


def _recorded(s3: Any, bucket: str, version: str) -> str | None:
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=_record(version))["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    return body.decode()


def _put_once(s3: Any, bucket: str, key: str, content: bytes, kind: str) -> None:
    """Write an object, or check that the one in its place is the same."""
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType=kind, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        if s3.get_object(Bucket=bucket, Key=key)["Body"].read() != content:
            raise Refused(
                f"s3://{bucket}/{key} already exists and differs. A released file never changes:"
                " run only the failed jobs again."
            ) from error


def _skopeo(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        ["skopeo", *arguments], input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"skopeo {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
