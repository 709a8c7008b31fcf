"""Cost: the budget, and tags that say what everything belongs to."""

from collections.abc import Iterator
from typing import Final

from tally.aws.account import Account, Thing, tags_of
from tally.aws.requirement import Concern, Seen, present

concern = Concern("Cost")

_TAGS: Final = {"Project", "Deployment", "Profile", "ManagedBy"}


@concern.requires("cost-budget", "A budget warns somebody")
def _budget(account: Account) -> Iterator[Seen]:
    for budget in account.budgets:
        name, limit = budget["BudgetName"], budget["BudgetLimit"]
        said = f"{limit['Amount']} {limit['Unit']} {budget['TimeUnit']}"
        yield Seen(
            name, bool(budget["Notifications"]), f"{said}: {len(budget['Notifications'])} warnings"
        )
        for warning in budget["Notifications"]:
            told = [it["Address"] for it in warning["Subscribers"] if _listens(account, it)]
            when = f"{warning['NotificationType']} {warning['Threshold']:g} %"
            yield Seen(name, bool(told), f"{when} tells {', '.join(told) or 'nobody'}")


def _listens(account: Account, subscriber: Thing) -> bool:
    """Whether a warning gets to somebody: by e-mail, or by a topic that has subscribers itself."""
    if subscriber["SubscriptionType"] == "EMAIL":
        return True
    topic = account.topics.get(subscriber["Address"], {})
    return int(topic.get("SubscriptionsConfirmed", 0)) > 0


@concern.requires("cost-tags", "Everything says to which deployment it belongs")
def _tags(account: Account) -> Iterator[Seen]:
    for name, thing in _tagged(account):
        tags = tags_of(thing)
        seen = ", ".join(f"{key}={tags[key]}" for key in sorted(_TAGS & set(tags)))
        wrong = _TAGS - set(tags)
        if tags.get("Deployment", account.name) != account.name:
            wrong = wrong | {f"Deployment={account.name}"}
        yield present(name, wrong, seen)


def _tagged(account: Account) -> Iterator[tuple[str, Thing]]:
    """Whatever has tags, but for what is part of another thing, such as a rule of a group.

    Network interfaces are left out: most are AWS's own.
    """
    yield account.vpc["VpcId"], account.vpc
    for kind, key in (
        (account.subnets.values(), "SubnetId"),
        (account.security_groups.values(), "GroupId"),
        # The main one comes with the VPC, and nothing of ours is in it.
        (
            [it for it in account.route_tables if any("SubnetId" in a for a in it["Associations"])],
            "RouteTableId",
        ),
        (account.network_acls, "NetworkAclId"),
        (account.endpoints, "VpcEndpointId"),
        (account.flow_logs, "FlowLogId"),
        (account.instances, "InstanceId"),
        (account.volumes, "VolumeId"),
        ([account.adder_launch_template], "LaunchTemplateName"),
        (account.scaling_groups, "AutoScalingGroupName"),
        (account.databases, "DBInstanceIdentifier"),
        (account.clusters, "clusterName"),
        (account.ecs_services.values(), "serviceName"),
        (account.task_definitions.values(), "taskDefinitionArn"),
        (account.secrets.values(), "Name"),
    ):
        for thing in kind:
            yield thing[key], thing
    arns = [account.load_balancer["LoadBalancerArn"], *account.target_groups]
    for described in account.client("elbv2").describe_tags(ResourceArns=arns)["TagDescriptions"]:
        yield described["ResourceArn"].rpartition(":")[2], described
    for bucket in account.buckets:
        found = account.bucket_setting("get_bucket_tagging", bucket)
        yield bucket, {"Tags": found.get("TagSet", [])}
    for name in account.log_groups:
        yield name, {"Tags": account.log_group_tags(name)}
    for name in account.roles:
        yield f"role {name}", account.role(name)
    for service, arns in (
        ("sns", list(account.topics)),
        ("cloudwatch", [it["AlarmArn"] for it in account.alarms]),
        ("ecr", [it["repositoryArn"] for it in account.repositories]),
        ("kms", sorted({it["kmsKeyId"] for it in account.log_groups.values() if "kmsKeyId" in it})),
        ("cloudfront", [account.distribution["ARN"]] if account.distribution else []),
        ("wafv2", [account.firewall["ARN"]] if account.firewall else []),
    ):
        for arn in arns:
            yield arn.split(":", 5)[5], {"Tags": account.tags(service, arn)}
