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
        limit = budget["BudgetLimit"]
        warnings = sorted(
            f"{it['NotificationType']} {it['Threshold']:g} %" for it in budget["Notifications"]
        )
        said = f"{limit['Amount']} {limit['Unit']} {budget['TimeUnit']}: {', '.join(warnings)}"
        yield Seen(budget["BudgetName"], bool(warnings), said if warnings else f"{said}no warning")


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
    yield account.vpc["VpcId"], account.vpc
    for kind, key in (
        (account.subnets.values(), "SubnetId"),
        (account.security_groups.values(), "GroupId"),
        (account.route_tables, "RouteTableId"),
        (account.network_acls, "NetworkAclId"),
        (account.endpoints, "VpcEndpointId"),
        (account.flow_logs, "FlowLogId"),
        (account.bastions, "InstanceId"),
        (account.scaling_groups, "AutoScalingGroupName"),
        (account.databases, "DBInstanceIdentifier"),
        (account.clusters, "clusterName"),
        (account.ecs_services.values(), "serviceName"),
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
