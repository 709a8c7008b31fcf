"""Denied traffic: who was refused."""

from collections.abc import Iterator

from tally.aws.account import Account
from tally.aws.requirement import Concern, Seen
from tally.aws.rows import storage

concern = Concern("Denied traffic")


def _bucket(account: Account) -> str | None:
    for log in account.flow_logs:
        if log.get("LogDestinationType") == "s3":
            return str(log["LogDestination"]).removeprefix("arn:aws:s3:::").partition("/")[0]
    return None


@concern.requires("denied-logged", "Refused connections are logged to S3", "EC2.6")
def _logged(account: Account) -> Iterator[Seen]:
    for log in account.flow_logs:
        good = (
            log["TrafficType"] == "REJECT"
            and log["FlowLogStatus"] == "ACTIVE"
            and log.get("LogDestinationType") == "s3"
            and _bucket(account) in account.buckets
        )
        target = log.get("LogDestination") or log.get("LogGroupName")
        yield Seen(log["FlowLogId"], good, f"{log['TrafficType']} to {target}")


@concern.requires("denied-versioned", "The bucket of refused connections keeps versions")
def _versioned(account: Account) -> Iterator[Seen]:
    for bucket in filter(None, [_bucket(account)]):
        yield storage.versioned(account, bucket)
