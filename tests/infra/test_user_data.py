"""The machines get the user data that tests/deploy boots guests with."""

import base64
import gzip
from pathlib import Path

from tests.deploy.release import CERTIFICATES, PROJECT
from tests.deploy.rendering import render
from tests.infra.stand import ACCOUNT, REGION, Stand, release


def test_the_adders_machines_get_this_user_data(stand: Stand, tmp_path: Path) -> None:
    [version] = stand.client("ec2").describe_launch_template_versions(
        LaunchTemplateName=f"{stand.name}-adder", Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    [database] = stand.client("rds").describe_db_instances()["DBInstances"]
    given = release(stand.name)
    rendered = render(
        tmp_path,
        "adder",
        {
            "name": stand.name,
            "region": REGION,
            "release_bucket": f"{stand.name}-releases-{ACCOUNT}",
            "adder_key": given["adder_key"],
            "adder_sha256": given["adder_sha256"],
            "secret_id": f"{stand.name}/adder",
            "database_host": database["Endpoint"]["Address"],
            "log_group": f"/{stand.name}/adder",
            "version": given["version"],
        },
    )
    sent = version["LaunchTemplateData"]["UserData"]
    assert gzip.decompress(base64.b64decode(sent)).decode() == rendered


def test_the_bastion_gets_this_user_data(stand: Stand, tmp_path: Path) -> None:
    ec2 = stand.client("ec2")
    [reservation] = ec2.describe_instances(
        Filters=[{"Name": "tag:Name", "Values": [f"{stand.name}-bastion"]}]
    )["Reservations"]
    [machine] = reservation["Instances"]
    [database] = stand.client("rds").describe_db_instances()["DBInstances"]
    rendered = render(
        tmp_path,
        "bastion",
        {
            "name": stand.name,
            "region": REGION,
            "secret_id": f"{stand.name}/operator",
            "database_host": database["Endpoint"]["Address"],
            "log_group": f"/{stand.name}/bastion",
            "certificates": (PROJECT / CERTIFICATES).read_text(),
        },
    )
    sent = ec2.describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute="userData")
    assert base64.b64decode(sent["UserData"]["Value"]).decode() == rendered
