"""What breaks logs and alarms."""

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "logs-groups",
    lose_a_log_group=lambda cloud: cloud.logs.delete_log_group(
        logGroupName=f"/{cloud.name}/bastion"
    ),
)

breaks(
    "logs-kept",
    keep_logs_for_ever=lambda cloud: cloud.logs.delete_retention_policy(
        logGroupName=f"/{cloud.name}/display"
    ),
)


@breaks("logs-encrypted")
def write_logs_in_plain(cloud: Cloud) -> None:
    name = f"/{cloud.name}/reset"
    (group,) = cloud.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    tags = cloud.logs.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
    cloud.logs.delete_log_group(logGroupName=name)
    cloud.logs.create_log_group(logGroupName=name, tags=tags)
    cloud.logs.put_retention_policy(logGroupName=name, retentionInDays=365)


breaks(
    "logs-agent",
    send_the_adders_log_nowhere=lambda cloud: cloud.change_user_data(
        lambda text: text.replace(f"/{cloud.name}/adder", "/other")
    ),
)

breaks(
    "logs-alarms",
    lose_an_alarm=lambda cloud: cloud.cloudwatch.delete_alarms(
        AlarmNames=[f"{cloud.name}-database-storage"]
    ),
)

breaks(
    "logs-alarms",
    profile="small",
    ignore_a_bound=lambda cloud: cloud.cloudwatch.delete_alarms(
        AlarmNames=[f"{cloud.name}-display-scaling-bound"]
    ),
    ignore_the_way_out=lambda cloud: cloud.cloudwatch.delete_alarms(
        AlarmNames=[f"{cloud.name}-bastion"]
    ),
    ignore_targets=lambda cloud: cloud.cloudwatch.delete_alarms(
        AlarmNames=[f"{cloud.name}-display-unhealthy"]
    ),
)

breaks(
    "logs-alarms-told",
    tell_nobody=lambda cloud: cloud.cloudwatch.disable_alarm_actions(
        AlarmNames=[f"{cloud.name}-display-latency"]
    ),
)


@breaks("logs-alarms-told", "cost-budget")
def let_nobody_listen(cloud: Cloud) -> None:
    for subscription in cloud.sns.list_subscriptions()["Subscriptions"]:
        cloud.sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


@breaks("logs-dashboard")
def lose_the_dashboard(cloud: Cloud) -> None:
    found = cloud.cloudwatch.list_dashboards()["DashboardEntries"]
    cloud.cloudwatch.delete_dashboards(DashboardNames=[it["DashboardName"] for it in found])
