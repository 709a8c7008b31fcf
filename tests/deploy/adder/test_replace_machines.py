"""The replacing of the adder's machines: forward when all goes well, and otherwise back."""

import base64
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.deployment import Emulator, aws_command

GROUP, ALARM = "adder", "adder-errors"
PREFERENCES = {
    "MinHealthyPercentage": 100,
    "MaxHealthyPercentage": 200,
    "InstanceWarmup": 330,
    "SkipMatching": True,
    "StandbyInstances": "Ignore",
    "ScaleInProtectedInstances": "Refresh",
    "AutoRollback": True,
    "AlarmSpecification": {"Alarms": [ALARM]},
}


@dataclass(frozen=True)
class Machines:
    """An auto scaling group of two machines of version 1; version 2 is good, version 3 bad."""

    emulator: Emulator
    programs: Path
    template: str

    @classmethod
    def start(cls, folder):
        emulator = Emulator.start(folder)
        ec2 = emulator.client("ec2")
        [image, *_] = ec2.describe_images(Owners=["amazon"])["Images"]
        data = {"ImageId": image["ImageId"], "InstanceType": "t3.micro"}
        made = ec2.create_launch_template(LaunchTemplateName="adder", LaunchTemplateData=data)
        template = made["LaunchTemplate"]["LaunchTemplateId"]
        emulator.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            MinSize=2,
            MaxSize=4,
            AvailabilityZones=["us-east-1a"],
        )
        bad = base64.b64encode(f"bad{'0' * 61}".encode()).decode()
        for change in ({"InstanceType": "t3.small"}, {"UserData": bad}):
            ec2.create_launch_template_version(
                LaunchTemplateId=template, LaunchTemplateData=data | change
            )
        emulator.put_alarm(ALARM)
        return cls(emulator, aws_command(folder / "programs"), template)

    @property
    def autoscaling(self):
        return self.emulator.client("autoscaling")

    def replace(self, version="2", minutes=1, **environment):
        """Run it as Terraform does."""
        return self.emulator.run_script(
            "deploy/adder/replace-machines",
            self.programs,
            GROUP=GROUP,
            TEMPLATE=self.template,
            VERSION=version,
            ALARM=ALARM,
            WARMUP="330",
            MINUTES=str(minutes),
            **environment,
        )

    def ring(self):
        self.emulator.client("cloudwatch").set_alarm_state(
            AlarmName=ALARM, StateValue="ALARM", StateReason="test"
        )

    def start_none(self):
        """No machine gets up: what is under way stays so."""
        self.autoscaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])

    def start_some(self):
        self.autoscaling.resume_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])

    @property
    def versions(self):
        """Of the group, and of its machines."""
        [group] = self.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        return group["LaunchTemplate"]["Version"], [
            it["LaunchTemplate"]["Version"] for it in group["Instances"]
        ]

    @property
    def refreshes(self):
        """Newest first."""
        found = self.autoscaling.describe_instance_refreshes(AutoScalingGroupName=GROUP)
        return found["InstanceRefreshes"]


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    machines = Machines.start(tmp_path_factory.mktemp("machines"))
    yield machines
    machines.emulator.stop()


@pytest.fixture
def machines(started):
    """A copy, to be changed."""
    emulator = started.emulator.copy()
    yield replace(started, emulator=emulator)
    emulator.stop()


def test_the_machines_are_replaced(machines):
    done = machines.replace()
    assert done.returncode == 0, done.stderr
    assert machines.versions == ("2", ["2", "2"])
    [refresh] = machines.refreshes
    assert refresh["Status"] == "Successful"
    assert refresh["Preferences"] == PREFERENCES
    assert refresh["DesiredConfiguration"] == {
        "LaunchTemplate": {"LaunchTemplateId": machines.template, "Version": "2"}
    }


def test_nothing_is_replaced_where_the_version_runs(machines):
    done = machines.replace(version="1")
    assert done.returncode == 0, done.stderr
    assert machines.refreshes == []


def test_an_alarm_takes_the_group_back_and_fails(machines):
    done = machines.replace(version="3")
    assert done.returncode == 1
    assert "RollbackSuccessful: in ALARM: adder-errors" in done.stderr
    assert "adder runs version 1, not 3." in done.stderr
    assert machines.versions == ("1", ["1", "1"])


def test_an_alarm_that_rings_already_keeps_nobody_from_going_back(machines):
    machines.ring()
    done = machines.replace()
    assert done.returncode == 0, done.stderr
    assert "adder-errors rings already" in done.stdout
    assert machines.versions == ("2", ["2", "2"])
    [refresh] = machines.refreshes
    assert refresh["Preferences"] == {
        name: value for name, value in PREFERENCES.items() if name != "AlarmSpecification"
    }


def test_a_machine_in_standby_is_left_alone_and_keeps_nobody_waiting(machines):
    [group] = machines.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    inspected = group["Instances"][0]["InstanceId"]
    machines.autoscaling.enter_standby(
        AutoScalingGroupName=GROUP, InstanceIds=[inspected], ShouldDecrementDesiredCapacity=False
    )
    done = machines.replace(minutes=0)
    assert done.returncode == 0, done.stderr
    [group] = machines.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    versions = {it["InstanceId"]: it["LaunchTemplate"]["Version"] for it in group["Instances"]}
    assert versions.pop(inspected) == "1"
    assert list(versions.values()) == ["2", "2"]


def test_machines_that_do_not_start_in_time_take_the_group_back(machines):
    machines.start_none()
    done = machines.replace(minutes=0)
    assert done.returncode == 1
    assert "not done within 0 minutes; rolling back" in done.stderr
    assert machines.versions == ("1", ["1", "1"])
    assert [it["Status"] for it in machines.refreshes] == ["RollbackSuccessful"]


def test_what_is_left_under_way_is_cancelled_first(machines):
    machines.start_none()
    desired = {"LaunchTemplate": {"LaunchTemplateId": machines.template, "Version": "2"}}
    machines.autoscaling.start_instance_refresh(
        AutoScalingGroupName=GROUP, DesiredConfiguration=desired
    )
    machines.start_some()
    done = machines.replace()
    assert done.returncode == 0, done.stderr
    assert "cancelling" in done.stdout
    assert machines.versions == ("2", ["2", "2"])
    assert [it["Status"] for it in machines.refreshes] == ["Successful", "Cancelled"]


def test_an_aws_that_can_not_be_asked_fails_at_once(machines):
    machines.emulator.port = 9
    done = machines.replace(AWS_MAX_ATTEMPTS="1")
    assert done.returncode != 0
    assert "Could not connect" in done.stderr
