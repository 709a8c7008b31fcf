"""Practise a restore: does the newest backup hold what the live database held?

The backup is restored beside the live database. What was restored is deleted in any case, and first
whatever a killed run has left.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
import click

from deploy.ci.deployment import Deployment
from deploy.ci.patience import patiently
from deploy.ci.practised import Practised
from deploy.ci.refused import Refused
from deploy.ci.step import of_deployment, page
from deploy.ci.task import Task

# Days after a success until the alarm rings (infra/practice.tf).
_OVERDUE: Final = timedelta(days=40)
# A commit ends within seconds of the time of its entries. The totals of so much before the last
# moment of the backup are compared, when every commit that could be in it had ended.
_SETTLED: Final = timedelta(seconds=10)
# From these a database does not become available by itself (RDS's user guide, "Viewing DB instance
# status").
_FAILED: Final = (
    "failed",
    "incompatible-network",
    "incompatible-parameters",
    "incompatible-restore",
)


@click.command()
@of_deployment
@click.option("--minutes", envvar="MINUTES", default=40, help="How long to wait for each step.")
def practise(target: Deployment, minutes: int) -> None:
    """Restore the newest backup beside the database, audit and compare it, and delete it."""
    practice = Practice(target.name, minutes)
    practice.delete()
    try:
        practised = practice.run()
    except Refused as refusal:
        # If the deletion fails as well, that is what the job ends with.
        print(f"Refused: {refusal}")
        raise
    finally:
        practice.delete()
    practice.put_alarm_off(str(practised))
    page(practised.page())


class Practice:
    """A restored database beside a deployment's own, and the task that reads both."""

    def __init__(self, name: str, minutes: int) -> None:
        self._name = name
        self._live, self._restored = f"{name}-database", f"{name}-practice"
        self._minutes = minutes
        self._task = Task(name, minutes)
        self._rds = boto3.client("rds")

    def run(self) -> Practised:
        """Restore, audit and compare; raise Refused for what is wrong with it."""
        asked = datetime.now(UTC)
        live = self._find(self._live)
        if live is None or "LatestRestorableTime" not in live:
            raise Refused(f"There is no database {self._live}, or no backup of it yet.")
        restorable = live["LatestRestorableTime"]
        self._restore(live)
        restored = self._await_available()["Endpoint"]["Address"]
        audited = self._task.read(restored, "audit", "--json")
        if not audited["clean"]:
            found = [audited["difference"], *audited["privileges"]]
            raise Refused(f"The restored ledger fails its audit: {'; '.join(filter(None, found))}.")
        moment = (restorable - _SETTLED).isoformat()
        at = ("total", "--at", moment, "--json")
        now = self._task.read(live["Endpoint"]["Address"], *at)
        then = self._task.read(restored, *at)
        if now != then:
            missing = now["last_id"] - then["last_id"]
            raise Refused(
                f"Of {moment} the backup lacks {missing} entries: it has {then['sum']} after entry"
                f" {then['last_id']}, and the live database {now['sum']} after entry"
                f" {now['last_id']}."
            )
        took = datetime.now(UTC) - asked
        return Practised(asked, restorable, took, audited["checked"], then["sum"], then["last_id"])

    def delete(self) -> None:
        """Delete the restored database, if there is one, and wait until it is gone."""
        for _ in patiently(self._minutes, f"{self._restored} is still there"):
            found = self._find(self._restored)
            if found is None:
                return
            if found["DBInstanceStatus"] != "deleting":
                print(f"Deleting {self._restored}, which is {found['DBInstanceStatus']}.")
                # Some states have to end first.
                with suppress(self._rds.exceptions.InvalidDBInstanceStateFault):
                    self._rds.delete_db_instance(
                        DBInstanceIdentifier=self._restored, SkipFinalSnapshot=True
                    )

    def put_alarm_off(self, said: str) -> None:
        """Let the alarm on practised restores ring later, and say why."""
        scheduler, name = boto3.client("scheduler"), f"{self._name}-restore-overdue"
        found = scheduler.get_schedule(Name=name, GroupName="default")
        # An update takes the place of everything.
        kept = {
            key: found[key]
            for key in ("FlexibleTimeWindow", "ScheduleExpression", "State", "Target")
        }
        scheduler.update_schedule(
            Name=name,
            GroupName="default",
            Description=said,
            StartDate=datetime.now(UTC) + _OVERDUE,
            **kept,
        )

    def _find(self, name: str) -> dict[str, Any] | None:
        try:
            [found] = self._rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        except self._rds.exceptions.DBInstanceNotFoundFault:
            return None
        return dict(found)

    def _restore(self, live: Mapping[str, Any]) -> None:
        """Begin to. No backups of it, no logs, no second machine: nothing that would stay."""
        tags = {it["Key"]: it["Value"] for it in live["TagList"]} | {"Name": self._restored}
        self._rds.restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier=self._live,
            TargetDBInstanceIdentifier=self._restored,
            UseLatestRestorableTime=True,
            DBSubnetGroupName=live["DBSubnetGroup"]["DBSubnetGroupName"],
            DBParameterGroupName=live["DBParameterGroups"][0]["DBParameterGroupName"],
            VpcSecurityGroupIds=[it["VpcSecurityGroupId"] for it in live["VpcSecurityGroups"]],
            PubliclyAccessible=False,
            MultiAZ=False,
            BackupRetentionPeriod=0,
            DeletionProtection=False,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        print(f"Restoring {self._restored}.")

    def _await_available(self) -> dict[str, Any]:
        for _ in patiently(self._minutes, f"{self._restored} is not available"):
            found = self._find(self._restored)
            status = found["DBInstanceStatus"] if found else "gone"
            if found and status == "available":
                return found
            if status in (*_FAILED, "gone"):
                raise Refused(f"{self._restored} is {status}.")
        raise AssertionError
