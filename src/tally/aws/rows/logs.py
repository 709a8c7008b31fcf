"""Logs, alarms and the dashboard."""

import json
from collections.abc import Iterator
from typing import Final

from tally.aws.account import CONTAINER_SERVICES, SERVICES, Account
from tally.aws.requirement import Concern, Seen, present

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
def _groups(account: Account) -> Iterator[Seen]:
    wanted = {f"/{account.name}/{it}" for it in (*SERVICES, "bastion")}
    yield present("CloudWatch", wanted - set(account.log_groups), ", ".join(sorted(wanted)))


@concern.requires("logs-kept", "Logs are kept for a year and then removed", "CloudWatch.16")
def _kept(account: Account) -> Iterator[Seen]:
    for name, group in account.log_groups.items():
        days = group.get("retentionInDays")
        kept = f"for {days} days" if days else "for ever"
        yield Seen(name, days is not None and days >= _FEWEST_DAYS, f"kept {kept}")


@concern.requires("logs-encrypted", "Logs are encrypted with the deployment's key")
def _encrypted(account: Account) -> Iterator[Seen]:
    for name, group in account.log_groups.items():
        key = group.get("kmsKeyId")
        yield Seen(name, bool(key), f"kmsKeyId = {key or 'none'}")


@concern.requires("logs-agent", "The adder's log goes through the CloudWatch agent to its group")
def _agent(account: Account) -> Iterator[Seen]:
    group = f"/{account.name}/adder"
    text = account.adder_template["UserData"]
    good = "amazon-cloudwatch-agent" in text and f'"log_group_name": "{group}"' in text
    yield Seen(account.adder_template["LaunchTemplateId"], good, f"user data names {group}")


@concern.requires("logs-alarms", "What should not be is watched by an alarm")
def _alarms(account: Account) -> Iterator[Seen]:
    for what, (metric, count) in _WATCHED.items():
        found = [it for it in account.alarms if (it["Namespace"], it["MetricName"]) == metric]
        targets = {json.dumps(it["Dimensions"], sort_keys=True) for it in found}
        names = ", ".join(sorted(it["AlarmName"] for it in found))
        yield Seen(what, len(targets) >= count, names or "no alarm")


@concern.requires("logs-alarms-told", "Alarms tell an encrypted topic, and that tells somebody")
def _alarms_told(account: Account) -> Iterator[Seen]:
    for alarm in account.alarms:
        told = [arn for arn in alarm["AlarmActions"] if arn in account.topics]
        good = alarm["ActionsEnabled"] and bool(told)
        yield Seen(alarm["AlarmName"], good, f"tells {', '.join(told) or 'nobody'}")
    for arn, topic in account.topics.items():
        key = topic.get("KmsMasterKeyId")
        yield Seen(arn, bool(key), f"KmsMasterKeyId = {key or 'none'}")
        # An address that was given and never confirmed gets nothing.
        subscribed = int(topic.get("SubscriptionsConfirmed", 0))
        yield Seen(arn, subscribed > 0, f"SubscriptionsConfirmed = {subscribed}")


@concern.requires("logs-dashboard", "A dashboard shows load, errors, latency, targets and database")
def _dashboard(account: Account) -> Iterator[Seen]:
    for name, body in account.dashboards.items():
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
