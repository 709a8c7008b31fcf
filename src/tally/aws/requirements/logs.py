"""Logs, alarms and the dashboard."""

import json
from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import CONTAINER_SERVICES, SERVICES, Inventory
from tally.aws.requirement import Concern, Evidence, present

concern = Concern("Logs and alarms")

# Days; the Foundational Security Best Practices' own bound for log groups (CloudWatch.16).
_FEWEST_DAYS: Final = 365
_BALANCER: Final = "AWS/ApplicationELB"
# What is to be watched: the metric, of what, and for how many things.
_WATCHED: Final = {
    "errors of each service": ((_BALANCER, "HTTPCode_Target_5XX_Count"), len(SERVICES)),
    "errors of the load balancer": ((_BALANCER, "HTTPCode_ELB_5XX_Count"), 1),
    "unhealthy targets": ((_BALANCER, "UnHealthyHostCount"), len(SERVICES)),
    "latency": ((_BALANCER, "TargetResponseTime"), len(SERVICES)),
    "the database's storage": (("AWS/RDS", "FreeStorageSpace"), 1),
    "the database's connections": (("AWS/RDS", "DatabaseConnections"), 1),
    "scaling at its bound": (
        ("ECS/ContainerInsights", "DesiredTaskCount"),
        len(CONTAINER_SERVICES),
    ),
}


@concern.requires("logs-groups", "Each service, and the bastion, has a log group")
def _groups(aws: Inventory) -> Iterator[Evidence]:
    wanted = {f"/{aws.name}/{it}" for it in (*SERVICES, "bastion")}
    yield present("CloudWatch", wanted - set(aws.logs.log_groups), ", ".join(sorted(wanted)))


@concern.requires("logs-kept", "Logs are kept for a year and then removed", "CloudWatch.16")
def _kept(aws: Inventory) -> Iterator[Evidence]:
    for name, group in aws.logs.log_groups.items():
        days = group.get("retentionInDays")
        kept = f"for {days} days" if days else "for ever"
        yield Evidence(name, days is not None and days >= _FEWEST_DAYS, f"kept {kept}")


@concern.requires("logs-encrypted", "Logs are encrypted with the deployment's key")
def _encrypted(aws: Inventory) -> Iterator[Evidence]:
    for name, group in aws.logs.log_groups.items():
        key = group.get("kmsKeyId")
        yield Evidence(name, bool(key), f"kmsKeyId = {key or 'none'}")


@concern.requires("logs-agent", "The adder's log goes through the CloudWatch agent to its group")
def _agent(aws: Inventory) -> Iterator[Evidence]:
    group = f"/{aws.name}/adder"
    text = aws.ec2.adder_template["UserData"]
    good = "amazon-cloudwatch-agent" in text and f'"log_group_name": "{group}"' in text
    yield Evidence(aws.ec2.adder_template["LaunchTemplateId"], good, f"user data names {group}")


@concern.requires("logs-alarms", "What should not be is watched by an alarm")
def _alarms(aws: Inventory) -> Iterator[Evidence]:
    for what, (metric, count) in _WATCHED.items():
        found = [
            it for it in aws.cloudwatch.alarms if (it["Namespace"], it["MetricName"]) == metric
        ]
        targets = {json.dumps(it["Dimensions"], sort_keys=True) for it in found}
        names = ", ".join(sorted(it["AlarmName"] for it in found))
        yield Evidence(what, len(targets) >= count, names or "no alarm")


@concern.requires("logs-alarms-told", "Alarms tell an encrypted topic, and that tells somebody")
def _alarms_told(aws: Inventory) -> Iterator[Evidence]:
    for alarm in aws.cloudwatch.alarms:
        told = [arn for arn in alarm["AlarmActions"] if arn in aws.sns.topics]
        good = alarm["ActionsEnabled"] and bool(told)
        yield Evidence(alarm["AlarmName"], good, f"tells {', '.join(told) or 'nobody'}")
    for arn, topic in aws.sns.topics.items():
        key = topic.get("KmsMasterKeyId")
        yield Evidence(arn, bool(key), f"KmsMasterKeyId = {key or 'none'}")
        # An address that was given and never confirmed gets nothing.
        subscribed = int(topic.get("SubscriptionsConfirmed", 0))
        yield Evidence(arn, subscribed > 0, f"SubscriptionsConfirmed = {subscribed}")


@concern.requires("logs-dashboard", "A dashboard shows load, errors, latency, targets and database")
def _dashboard(aws: Inventory) -> Iterator[Evidence]:
    for name, body in aws.cloudwatch.dashboards.items():
        text = json.dumps(body)
        wanted = {
            "RequestCount",
            "HTTPCode_Target_5XX_Count",
            "TargetResponseTime",
            "HealthyHostCount",
            "DatabaseConnections",
        }
        shown = {metric for metric in wanted if metric in text}
        yield present(name, wanted - shown, f"{len(body.get('widgets', []))} pictures")
