"""Auto Scaling: instance refreshes, which moto has not, and machines in every zone."""

import gzip
import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from tests.support.emulator.cloudwatch import ring, ringing_alarms


def add_instance_refreshes() -> None:
    """moto has no instance refreshes, and shows each machine with its group's newest template.

    Here they take no time, unless the group is kept from starting machines, or waits for one in
    standby, which is the default (API reference of RefreshPreferences).
    """
    refreshes: dict[str, list[dict[str, Any]]] = {}

    def start_instance_refresh(self: AutoScalingResponse) -> ActionResult:
        name = self._get_param("AutoScalingGroupName")
        preferences = self._get_param("Preferences") or {}
        desired = self._get_param("DesiredConfiguration") or {}
        if preferences.get("AutoRollback") and not desired:
            raise ValidationError("AutoRollback needs a DesiredConfiguration")
        group = self.autoscaling_backend.autoscaling_groups[name]
        refresh = {
            "InstanceRefreshId": str(uuid4()),
            "AutoScalingGroupName": name,
            "StartTime": datetime.now(UTC),
            "DesiredConfiguration": desired,
            "Preferences": preferences,
        }
        watched = preferences.get("AlarmSpecification", {}).get("Alarms", [])
        if makes_bad_machines(group, desired.get("LaunchTemplate")):
            ring(self, watched)
        # Whether AWS minds an alarm that rang before is not documented; here it does.
        if ringing := ringing_alarms(self, watched):
            end(refresh, "RollbackSuccessful", f"in ALARM: {', '.join(ringing)}")
        elif "Launch" in group._suspended_processes or waits(group, preferences):
            refresh |= {"Status": "InProgress", "PercentageComplete": 0}
        else:
            replace_machines(group, desired.get("LaunchTemplate"))
            end(refresh, "Successful")
        refreshes.setdefault(name, []).insert(0, refresh)
        return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})

    def waits(group: FakeAutoScalingGroup, preferences: dict[str, Any]) -> bool:
        ignored = preferences.get("StandbyInstances", "Wait") != "Wait"
        states = [it.lifecycle_state for it in group.instance_states]
        return "Standby" in states and not ignored

    def end(refresh: dict[str, Any], status: str, reason: str = "") -> None:
        refresh |= {"Status": status, "StatusReason": reason, "EndTime": datetime.now(UTC)}

    def end_newest(self: AutoScalingResponse, status: str) -> ActionResult:
        [newest, *_] = refreshes.get(self._get_param("AutoScalingGroupName"), []) or [None]
        if newest is None or newest["Status"] != "InProgress":
            raise ActiveInstanceRefreshNotFound
        end(newest, status, "asked for")
        return ActionResult({"InstanceRefreshId": newest["InstanceRefreshId"]})

    def cancel_instance_refresh(self: AutoScalingResponse) -> ActionResult:
        return end_newest(self, "Cancelled")

    def rollback_instance_refresh(self: AutoScalingResponse) -> ActionResult:
        return end_newest(self, "RollbackSuccessful")

    def describe_instance_refreshes(self: AutoScalingResponse) -> ActionResult:
        group = self._get_param("AutoScalingGroupName")
        wanted = self._get_param("InstanceRefreshIds") or []
        found = [
            refresh
            for refresh in refreshes.get(group, [])
            if not wanted or refresh["InstanceRefreshId"] in wanted
        ]
        return ActionResult({"InstanceRefreshes": found})

    for method in (
        start_instance_refresh,
        cancel_instance_refresh,
        rollback_instance_refresh,
        describe_instance_refreshes,
    ):
        setattr(AutoScalingResponse, method.__name__, method)

    # A machine is of the version that it was made from, whatever its group is told later.
    make = InstanceState.__init__

    def keep_version(self: InstanceState, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self.made_from = self.auto_scaling_group.launch_template

    InstanceState.__init__ = keep_version
    InstanceState.launch_template = property(lambda self: self.made_from)


def spread_machines() -> None:
    """moto starts all machines of a group in its first subnet; AWS where there are fewest."""
    start = FakeAutoScalingGroup.replace_autoscaling_group_instances

    def start_spread(self: FakeAutoScalingGroup, count_needed: int, tags: dict[str, str]) -> None:
        subnets = self.vpc_zone_identifier
        if not subnets:  # by default, the default network's
            start(self, count_needed, tags)
            return
        for _ in range(count_needed):
            placed = [it.instance.subnet_id for it in self.instance_states]
            # The first of them is moto's choice.
            self.vpc_zone_identifier = ",".join(sorted(subnets.split(","), key=placed.count))
            start(self, 1, dict(tags))
        self.vpc_zone_identifier = subnets

    FakeAutoScalingGroup.replace_autoscaling_group_instances = start_spread


def makes_bad_machines(group: FakeAutoScalingGroup, template: dict[str, Any] | None) -> bool:
    if template is None:
        return False
    made_from = group.ec2_backend.get_launch_template(template["LaunchTemplateId"])
    given = made_from.get_version(template["Version"]).data.get("UserData")
    data = b64decode(str(given or ""))
    # Terraform gzips it.
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return re.search(rb"\bbad[0-9a-f]{61}\b", text) is not None


def replace_machines(group: FakeAutoScalingGroup, template: dict[str, Any] | None) -> None:
    if template:
        group._set_launch_configuration("", template, None)
    in_standby = [it for it in group.instance_states if it.lifecycle_state == "Standby"]
    group.instance_states = [it for it in group.instance_states if it not in in_standby]
    count = group.desired_capacity
    group.set_desired_capacity(0)
    group.set_desired_capacity(count)
    group.instance_states += in_standby


class ActiveInstanceRefreshNotFound(AutoscalingClientError):
    def __init__(self) -> None:
        super().__init__("ActiveInstanceRefreshNotFound", "No instance refresh is in progress.")


def patch() -> None:
    add_instance_refreshes()
    spread_machines()
