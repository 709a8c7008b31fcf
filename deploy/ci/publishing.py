"""The steps that publish a release."""

import json
from pathlib import Path

import boto3
import click

from deploy.ci import release as releases
from deploy.ci.deployment import Deployment
from deploy.ci.step import of_deployment, output, page

_dist = click.option(
    "--dist", type=click.Path(path_type=Path), default=Path("dist"), show_default=True
)


@click.command()
@of_deployment
@click.option("--commit", envvar="GITHUB_SHA", required=True)
@_dist
@click.option("--registry", help="Another registry's URL instead of ECR, for tests.")
def push(target: Deployment, commit: str, dist: Path, registry: str | None) -> None:
    """Push both images and upload the adder's file, each named by the commit.

    The release also names the image of the adder's machines.
    """
    ecr = boto3.client("ecr")

    def push_to(chosen: releases.Registry) -> dict[str, str]:
        return {
            service: chosen.push(f"{target.name}/{service}", commit, dist / f"{service}.tar")
            for service in releases.SERVICES
        }

    if registry:
        images = push_to(releases.Registry(ecr, registry))
    else:
        with releases.logged_in(ecr) as chosen:
            images = push_to(chosen)
    s3, bucket = boto3.client("s3"), target.release_bucket
    key, sha256 = releases.upload_adder(s3, bucket, commit, dist / "tally.pex")
    release = releases.Release(
        version=commit,
        display_image=images["display"],
        reset_image=images["reset"],
        adder_key=key,
        adder_sha256=sha256,
        adder_image=releases.adder_image(boto3.client("ssm"), s3, bucket, commit),
    )
    (dist / "release.json").write_text(release.to_json())
    for service, image in images.items():
        name, _, digest = image.partition("@")
        output(**{f"{service}-name": name, f"{service}-digest": digest})


@click.command()
@of_deployment
@_dist
def record(target: Deployment, dist: Path) -> None:
    """Record what was pushed as a release, which can then be planned."""
    text = (dist / "release.json").read_text()
    release = releases.Release(**json.loads(text)["release"])
    releases.record(boto3.client("s3"), target.release_bucket, release)
    page(f"## Release {release.version}\n\n```json\n{text}```\n")
