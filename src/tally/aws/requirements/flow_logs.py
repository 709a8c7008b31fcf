"""Flow logs: who was refused."""

from collections.abc import Iterator

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.predicates import one_of
from tally.aws.requirement import Concern, Verdict, named, verdict

concern = Concern("Flow logs")
requires = concern.requires

_flow_logs = named("FlowLogId", lambda aws: aws.ec2.flow_logs)


def _bucket(log: Resource) -> str:
    return str(log.get("LogDestination")).removeprefix("arn:aws:s3:::").partition("/")[0]


def _buckets(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    for log in aws.ec2.flow_logs:
        if log.get("LogDestinationType") == "s3":
            yield _bucket(log), aws.s3.setting("get_bucket_versioning", _bucket(log))


_logged = requires("denied-logged", "Refused connections are logged to S3", "EC2.6")
_logged.field(_flow_logs, "TrafficType", "REJECT")
_logged.field(_flow_logs, "FlowLogStatus", "ACTIVE")
_logged.field(_flow_logs, "LogDestinationType", "s3")


@_logged.each(_flow_logs)
def _kept(aws: Inventory, log: Resource) -> Verdict:
    return verdict("bucket", _bucket(log), one_of(aws.s3.buckets))


requires("denied-versioned", "The bucket of refused connections keeps versions").field(
    _buckets, "Status", "Enabled", "versioning"
)
