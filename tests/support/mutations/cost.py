"""What breaks budget and tags."""

from typing import Any

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks


def _warning(cloud: Cloud, kind: str) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    """Of a kind of the budget's warnings: the budget, the warning and whom it tells."""
    account = cloud.sts.get_caller_identity()["Account"]
    named = {"AccountId": account, "BudgetName": f"{cloud.name}-monthly"}
    found = cloud.budgets.describe_notifications_for_budget(**named)["Notifications"]
    (notification,) = (it for it in found if it["NotificationType"] == kind)
    (subscriber,) = cloud.budgets.describe_subscribers_for_notification(
        **named, Notification=notification
    )["Subscribers"]
    return named, notification, subscriber


@breaks("cost-budget")
def warn_nobody(cloud: Cloud) -> None:
    account = cloud.sts.get_caller_identity()["Account"]
    named = {"AccountId": account, "BudgetName": f"{cloud.name}-monthly"}
    found = cloud.budgets.describe_notifications_for_budget(**named)["Notifications"]
    for notification in found:
        cloud.budgets.delete_notification(**named, Notification=notification)


@breaks("cost-budget")
def warn_nobody_of_what_is_expected(cloud: Cloud) -> None:
    named, notification, subscriber = _warning(cloud, "FORECASTED")
    topic = f"{subscriber['Address']}-gone"
    cloud.budgets.update_subscriber(
        **named,
        Notification=notification,
        OldSubscriber=subscriber,
        NewSubscriber={**subscriber, "Address": topic},
    )


@breaks("cost-budget")
def leave_the_budget_without_subscribers(cloud: Cloud) -> None:
    for kind in ("FORECASTED", "ACTUAL"):
        named, notification, subscriber = _warning(cloud, kind)
        cloud.budgets.delete_subscriber(**named, Notification=notification, Subscriber=subscriber)


@breaks("cost-tags")
def forget_whose_a_machine_is(cloud: Cloud) -> None:
    machine = cloud.group_of_machines()["Instances"][0]
    cloud.ec2.delete_tags(Resources=[machine["InstanceId"]], Tags=[{"Key": "Deployment"}])


@breaks("cost-tags")
def forget_whose_a_disk_is(cloud: Cloud) -> None:
    (disk,) = cloud.bastion()["BlockDeviceMappings"]
    cloud.ec2.delete_tags(Resources=[disk["Ebs"]["VolumeId"]], Tags=[{"Key": "Project"}])


breaks(
    "cost-tags",
    forget_whose_a_role_is=lambda cloud: cloud.iam.untag_role(
        RoleName=f"{cloud.name}-reset-task", TagKeys=["Profile"]
    ),
)


@breaks("cost-tags")
def forget_whose_a_topic_is(cloud: Cloud) -> None:
    for topic in cloud.sns.list_topics()["Topics"]:
        cloud.sns.untag_resource(ResourceArn=topic["TopicArn"], TagKeys=["Deployment"])


@breaks("cost-tags")
def forget_whose_a_repository_is(cloud: Cloud) -> None:
    name = f"{cloud.name}/display"
    (found,) = cloud.ecr.describe_repositories(repositoryNames=[name])["repositories"]
    cloud.ecr.untag_resource(resourceArn=found["repositoryArn"], tagKeys=["ManagedBy"])


breaks(
    "cost-tags",
    forget_whose_a_subnet_is=lambda cloud: cloud.ec2.delete_tags(
        Resources=[cloud.subnets("private")[0]], Tags=[{"Key": "ManagedBy"}]
    ),
)
