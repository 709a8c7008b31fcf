"""The machines get the user data that tests/deploy boots guests with, and AWS takes it."""

import base64
import gzip
from pathlib import Path

import pytest

from tests.support.deployment import ACCOUNT, DOMAIN, REGION, Deployment, release
from tests.support.guests.release import CERTIFICATES, PROJECT
from tests.support.guests.rendering import compress, render

# AWS takes no more, counted before base64.
LIMIT_BYTES = 16 << 10
# As long as a name may be, and with no letter twice, so that it is hard to compress.
LONGEST = "abcdefghijklmnop"


def adder(name: str, database_host: str, hosts: str) -> dict[str, str]:
    """What the adder's user data is rendered from."""
    given = release(name)
    return {
        "name": name,
        "region": REGION,
        "release_bucket": f"{name}-releases-{ACCOUNT}",
        "adder_key": given["adder_key"],
        "adder_sha256": given["adder_sha256"],
        "secret_id": f"{name}/adder",
        "database_host": database_host,
        "hosts": hosts,
        "log_group": f"/{name}/adder",
        "version": given["version"],
        "certificates": (PROJECT / CERTIFICATES).read_text(),
    }


def bastion(name: str, database_host: str, profile: str = "small") -> dict[str, str]:
    """What the bastion's user data is rendered from."""
    return {
        "name": name,
        "region": REGION,
        "secret_id": f"{name}/operator",
        "database_host": database_host,
        "log_group": f"/{name}/bastion",
        "certificates": (PROJECT / CERTIFICATES).read_text(),
        # In production nothing is forwarded.
        "forward_from": "10.60.10.0/24, 10.60.11.0/24" if profile == "small" else "",
    }


@pytest.fixture
def database_host(deployment: Deployment) -> str:
    [database] = deployment.client("rds").describe_db_instances()["DBInstances"]
    return str(database["Endpoint"]["Address"])


def test_the_adders_machines_get_this_user_data(
    deployment: Deployment, database_host: str, tmp_path: Path
) -> None:
    [version] = deployment.client("ec2").describe_launch_template_versions(
        LaunchTemplateName=f"{deployment.name}-adder", Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    sent = base64.b64decode(version["LaunchTemplateData"]["UserData"])
    assert len(sent) <= LIMIT_BYTES
    # The profile small is tried with a domain, the other without.
    hosts = DOMAIN if deployment.profile == "small" else "*"
    rendered = render(tmp_path, "adder", adder(deployment.name, database_host, hosts))
    assert gzip.decompress(sent).decode() == rendered


def test_the_bastion_gets_this_user_data(
    deployment: Deployment, database_host: str, tmp_path: Path
) -> None:
    ec2 = deployment.client("ec2")
    [reservation] = ec2.describe_instances(
        Filters=[{"Name": "tag:Name", "Values": [f"{deployment.name}-bastion"]}]
    )["Reservations"]
    [machine] = reservation["Instances"]
    told = ec2.describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute="userData")
    sent = base64.b64decode(told["UserData"]["Value"])
    assert len(sent) <= LIMIT_BYTES
    rendered = bastion(deployment.name, database_host, deployment.profile)
    assert sent.decode() == render(tmp_path, "bastion", rendered)


def test_it_fits_with_the_longest_name(terraform: None, tmp_path: Path) -> None:
    database_host = f"{LONGEST}-database.qrstuvwxyz01.{REGION}.rds.amazonaws.com"
    sent = {
        "adder": compress(tmp_path, "adder", adder(LONGEST, database_host, DOMAIN)),
        "bastion": render(tmp_path, "bastion", bastion(LONGEST, database_host)).encode(),
    }
    for machine, user_data in sent.items():
        assert len(user_data) <= LIMIT_BYTES, machine
