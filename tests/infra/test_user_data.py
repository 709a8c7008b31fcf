"""The adder's machines get the user data that tests/deploy boots a guest with."""

import base64
import gzip
from pathlib import Path

from tests.deploy.release import render
from tests.infra.stand import ACCOUNT, REGION, Stand, release


def test_the_machines_get_this_user_data(stand: Stand, tmp_path: Path) -> None:
    [version] = stand.client("ec2").describe_launch_template_versions(
        LaunchTemplateName=f"{stand.name}-adder", Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    [database] = stand.client("rds").describe_db_instances()["DBInstances"]
    given = release(stand.name)
    rendered = render(
        tmp_path,
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
