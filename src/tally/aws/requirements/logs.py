"""Logs, alarms and the dashboard."""

import json
from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import CONTAINER_SERVICES, SERVICES, Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.predicates import at_least, given, includes
from tally.aws.requirement import Concern, Evidence, Verdict, named, verdict

concern = Concern("Logs and alarms")
requires = concern.requires

# Days; the Foundational Security Best Practices' own bound for log groups (CloudWatch.16).
_FEWEST_DAYS: Final = 365
_BALANCER: Final = "AWS/ApplicationELB"
_BOUND: Final = "scaling at its bound"
# What is to be watched: the metric, of what, and of how many resources.
_WATCHED: Final = {
    "errors of each service": ((_BALANCER, "HTTPCode_Target_5XX_Count"), len(SERVICES)),
    "errors of the load balancer": ((_BALANCER, "HTTPCode_ELB_5XX_Count"), 1),
    "too few healthy targets": ((_BALANCER, "HealthyHostCount"), len(SERVICES)),
    "latency": ((_BALANCER, "TargetResponseTime"), len(SERVICES)),
    "the database's storage": (("AWS/RDS", "FreeStorageSpace"), 1),
    "the database's connections": (("AWS/RDS", "DatabaseConnections"), 1),
    "practised restores": (("Tally", "RestoreOverdue"), 1),
    _BOUND: (
        ("ECS/ContainerInsights", "DesiredTaskCount"),
        len(CONTAINER_SERVICES),
    ),
}
# Without Container Insights: as many healthy targets as tasks may run.
_WATCHED_IN_SMALL: Final = {
    _BOUND: ((_BALANCER, "HealthyHostCount"), len(CONTAINER_SERVICES)),
    "the way out": (("AWS/EC2", "StatusCheckFailed"), 1),
}
# Where an alarm rings for less than its threshold, and not for more.
_TOO_LITTLE: Final = ("too few healthy targets", "the database's storage")
_SHOWN: Final = (
    *("RequestCount", "HTTPCode_Target_5XX_Count", "TargetResponseTime", "HealthyHostCount"),
    "DatabaseConnections",
)

_log_groups = named("logGroupName", lambda aws: aws.logs.log_groups.values())
_alarms = named("AlarmName", lambda aws: aws.cloudwatch.alarms)
_topics = named("TopicArn", lambda aws: aws.sns.topics.values())


requires("logs-groups", "Each service, and the bastion, has a log group").names(
    "CloudWatch",
    lambda aws: aws.logs.log_groups,
    *("/{name}/adder", "/{name}/display", "/{name}/reset", "/{name}/bastion"),
)
requires("logs-kept", "Logs are kept for a year and then removed", "CloudWatch.16").field(
    _log_groups, "retentionInDays", at_least(_FEWEST_DAYS)
)
requires("logs-encrypted", "Logs are encrypted with the deployment's key").field(
    _log_groups, "kmsKeyId", given
)


@requires("logs-agent", "The adder's log goes through the CloudWatch agent to its group").each(
    named("LaunchTemplateId", lambda aws: [aws.ec2.adder_template])
)
def _agent(aws: Inventory, template: Resource) -> Verdict:
    group, text = f"/{aws.name}/adder", template["UserData"]
    good = "amazon-cloudwatch-agent" in text and f'"log_group_name": "{group}"' in text
    return good, f"user data {'names' if good else 'does not name'} {group}"


@requires("logs-alarms", "What should not be is watched by an alarm")
def _watched(aws: Inventory) -> Iterator[Evidence]:
    watched = _WATCHED | (_WATCHED_IN_SMALL if aws.profile == "small" else {})
    for what, (metric, count) in watched.items():
        found = [
            it
            for it in aws.cloudwatch.alarms
            if (it["Namespace"], it["MetricName"]) == metric
            and it["ComparisonOperator"].startswith("Less") == (what in _TOO_LITTLE)
        ]
        targets = {json.dumps(it["Dimensions"], sort_keys=True) for it in found}
        names = ", ".join(sorted(it["AlarmName"] for it in found))
        yield Evidence(what, len(targets) >= count, names or "no alarm")


_alarms_told = requires(
    "logs-alarms-told", "Alarms tell an encrypted topic, and that tells somebody"
)
_alarms_told.field(_alarms, "ActionsEnabled", True)
_alarms_told.field(_topics, "KmsMasterKeyId", given)
_alarms_told.field(_topics, "to_number(SubscriptionsConfirmed || '0')", at_least(1))


@_alarms_told.each(_alarms)
def _told(aws: Inventory, alarm: Resource) -> Verdict:
    return verdict("tells", [arn for arn in alarm["AlarmActions"] if arn in aws.sns.topics], given)


@requires("logs-dashboard", "A dashboard shows load, errors, latency, targets and database").each(
    lambda aws: aws.cloudwatch.dashboards.items()
)
def _dashboard(_: Inventory, body: Resource) -> Verdict:
    text = json.dumps(body)
    return verdict("shows", [metric for metric in _SHOWN if metric in text], includes(_SHOWN))
