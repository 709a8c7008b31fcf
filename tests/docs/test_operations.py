"""docs/operations.md, held to the files and followed to the letter."""

import os
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.deployment import ACCOUNT, Emulator, aws_command
from tests.support.paths import INFRA, ROOT
from tests.support.workflow_runner import machine

OPERATIONS = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"^```sh *(\w*)\n(.*?)^```$", OPERATIONS, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def deployment(emulator: Emulator) -> Emulator:
    """What the commands name, as small as can be; the tests of infra/ apply the whole."""
    client = emulator.client
    s3 = client("s3")
    for holds in ("releases", "access-logs"):
        s3.create_bucket(Bucket=f"tally-{holds}-{ACCOUNT}")
    for version in ("1" * 40, "2" * 40):
        s3.put_object(Bucket=f"tally-releases-{ACCOUNT}", Key=f"releases/{version}.json", Body=b"")
    client("rds").create_db_instance(
        DBInstanceIdentifier="tally-database",
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="tally_owner",
        ManageMasterUserPassword=True,
        BackupRetentionPeriod=7,
    )
    ec2 = client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ecs = client("ecs")
    ecs.create_cluster(clusterName="tally-containers")
    ecs.register_task_definition(
        family="tally-display",
        containerDefinitions=[{"name": "display", "image": "display", "memory": 512}],
    )
    ecs.create_service(
        cluster="tally-containers",
        serviceName="tally-display",
        taskDefinition="tally-display",
        desiredCount=2,
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}},
    )
    ec2.create_launch_template(
        LaunchTemplateName="tally-adder",
        LaunchTemplateData={
            "ImageId": ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
            "InstanceType": "t3.small",
        },
    )
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="tally-adder",
        LaunchTemplate={"LaunchTemplateName": "tally-adder"},
        MinSize=2,
        MaxSize=4,
        DesiredCapacity=2,
        AvailabilityZones=["us-east-1a"],
    )
    logs = client("logs")
    for group in ("/tally/adder", "/tally/display", "aws-waf-logs-tally"):
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="one")
        logs.put_log_events(
            logGroupName=group,
            logStreamName="one",
            logEvents=[{"timestamp": int(time.time() * 1000), "message": '{"level": "error"}'}],
        )
    client("cloudwatch").put_metric_alarm(
        AlarmName="tally-display-errors",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
    )
    client("scheduler").create_schedule(
        Name="tally-restore-overdue",
        ScheduleExpression="rate(12 hours)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:scheduler:::aws-sdk:cloudwatch:putMetricData", "RoleArn": "role"},
        Description="The restore succeeded",
        StartDate=datetime(2026, 12, 31, tzinfo=UTC),
    )
    client("cloudwatch").set_alarm_state(
        AlarmName="tally-display-errors", StateValue="ALARM", StateReason="ten of ten were 500"
    )
    return emulator


def test_every_command_works(deployment: Emulator, tmp_path: Path) -> None:
    commands = "\n".join(text for mark, text in BLOCKS if not mark)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=machine()
        | deployment.environment
        | {"PATH": f"{aws_command(tmp_path / 'programs')}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert re.search(rf"releases/{'1' * 40}\.json\n.*releases/{'2' * 40}\.json", said)
    assert "tally-display-errors\tten of ten were 500" in said
    assert "The restore succeeded\t" in said


def test_what_is_not_run_has_its_reason() -> None:
    table = OPERATIONS.partition("## Not run\n")[2]
    assert {mark for mark, _ in BLOCKS if mark} == set(
        re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    )


def test_every_alarm_has_its_answer() -> None:
    files = "".join(path.read_text() for path in INFRA.rglob("*.tf"))
    named = re.findall(r'\balarm_name += "\$\{var\.name\}-(.+)"', files)
    # None is named in another way, and so passed over.
    resources = re.findall(r'^resource "aws_cloudwatch_\w+_alarm"', files, re.MULTILINE)
    assert len(named) == len(resources)
    alarms = {alarm.replace("${each.key}", "<service>") for alarm in named}
    table = OPERATIONS.partition("## When an alarm comes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `tally-(\S+)` \|", table, re.MULTILINE)
    assert sorted(rows) == sorted(alarms)
