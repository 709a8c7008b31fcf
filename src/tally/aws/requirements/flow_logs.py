"""Flow logs: who was refused."""

from collections.abc import Iterator

from tally.aws.inventory import Inventory
from tally.aws.requirement import Concern, Evidence
from tally.aws.requirements import storage

concern = Concern("Flow logs")


def _bucket(aws: Inventory) -> str | None:
    for log in aws.ec2.flow_logs:
        if log.get("LogDestinationType") == "s3":
            return str(log["LogDestination"]).removeprefix("arn:aws:s3:::").partition("/")[0]
    return None


@concern.requires("denied-logged", "Refused connections are logged to S3", "EC2.6")
def _logged(aws: Inventory) -> Iterator[Evidence]:
    for log in aws.ec2.flow_logs:
        good = (
            log["TrafficType"] == "REJECT"
            and log["FlowLogStatus"] == "ACTIVE"
            and log.get("LogDestinationType") == "s3"
            and _bucket(aws) in aws.s3.buckets
        )
        target = log.get("LogDestination") or log.get("LogGroupName")
        yield Evidence(log["FlowLogId"], good, f"{log['TrafficType']} to {target}")


@concern.requires("denied-versioned", "The bucket of refused connections keeps versions")
def _versioned(aws: Inventory) -> Iterator[Evidence]:
    for bucket in filter(None, [_bucket(aws)]):
        yield storage.versioned(aws, bucket)
