"""The adder's machines."""

import base64
import copy
import gzip
from collections.abc import Callable
from typing import Any

from tests.support.mutations.cloud.account import Account


class Machines(Account):
    def new_template(self, change: Callable[[dict[str, Any]], None]) -> str:
        """Make a version of the adder's launch template."""
        name = f"{self.name}-adder"
        found = self.ec2.describe_launch_template_versions(
            LaunchTemplateName=name, Versions=["$Latest"]
        )
        data = copy.deepcopy(found["LaunchTemplateVersions"][0]["LaunchTemplateData"])
        change(data)
        made = self.ec2.create_launch_template_version(
            LaunchTemplateName=name, LaunchTemplateData=data
        )
        return str(made["LaunchTemplateVersion"]["VersionNumber"])

    def change_template(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Replace the machines by others."""
        self.refresh(self.new_template(change))

    def change_group(self, **changes: object) -> None:
        self.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=f"{self.name}-adder", **changes
        )

    def group_of_machines(self) -> dict[str, Any]:
        return self.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]

    def refresh(self, version: str = "1", **preferences: object) -> None:
        """Replace the machines as a release does, except for some of its preferences."""
        template = self.group_of_machines()["LaunchTemplate"]["LaunchTemplateId"]
        desired = {"LaunchTemplateId": template, "Version": version}
        self.autoscaling.start_instance_refresh(
            AutoScalingGroupName=f"{self.name}-adder",
            DesiredConfiguration={"LaunchTemplate": desired},
            Preferences={
                "MinHealthyPercentage": 100,
                "AutoRollback": True,
                "AlarmSpecification": {"Alarms": [f"{self.name}-adder-errors"]},
                **preferences,
            },
        )

    def change_user_data(self, change: Callable[[str], str]) -> None:
        def edit(data: dict[str, Any]) -> None:
            given = base64.b64decode(data["UserData"])
            text = (gzip.decompress(given) if given[:2] == b"\x1f\x8b" else given).decode()
            assert change(text) != text
            data["UserData"] = base64.b64encode(change(text).encode()).decode()

        self.change_template(edit)
