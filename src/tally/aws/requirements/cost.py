"""Cost: the budget, and tags that say what everything belongs to."""

from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource, tags_of
from tally.aws.requirement import Concern, Evidence

concern = Concern("Cost")
requires = concern.requires

_TAGS: Final = ("Deployment", "ManagedBy", "Profile", "Project")


@requires("cost-budget", "A budget warns somebody")
def _budget(aws: Inventory) -> Iterator[Evidence]:
    for budget in aws.budgets.budgets:
        name, limit = budget["BudgetName"], budget["BudgetLimit"]
        warnings = budget["Notifications"]
        allowed = f"{limit['Amount']} {limit['Unit']} {budget['TimeUnit']}"
        yield Evidence(name, bool(warnings), f"{allowed}: {len(warnings)} warnings")
        for warning in warnings:
            told = [it["Address"] for it in warning["Subscribers"] if _listens(aws, it)]
            when = f"{warning['NotificationType']} {warning['Threshold']:g} %"
            yield Evidence(name, bool(told), f"{when} tells {', '.join(told) or 'nobody'}")


def _listens(aws: Inventory, subscriber: Resource) -> bool:
    """Whether a warning gets to somebody: by e-mail, or by a topic that has subscribers itself."""
    if subscriber["SubscriptionType"] == "EMAIL":
        return True
    topic = aws.sns.topics.get(subscriber["Address"], {})
    return int(topic.get("SubscriptionsConfirmed", 0)) > 0


@requires("cost-tags", "Everything says to which deployment it belongs")
def _tags(aws: Inventory) -> Iterator[Evidence]:
    for name, resource in _tagged(aws):
        tags = tags_of(resource)
        found = [f"{key}={tags[key]}" for key in _TAGS if key in tags]
        missing = [key for key in _TAGS if key not in tags]
        if tags.get("Deployment", aws.name) != aws.name:
            missing.append(f"Deployment={aws.name}")
        good = not missing
        yield Evidence(name, good, ", ".join(found) if good else f"missing: {', '.join(missing)}")


def _tagged(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    """Whatever has tags, but for what is part of another resource, such as a rule of a group.

    Network interfaces are left out: most are AWS's own.
    """
    yield aws.ec2.vpc["VpcId"], aws.ec2.vpc
    for kind, key in (
        (aws.ec2.subnets.values(), "SubnetId"),
        (aws.ec2.own_security_groups, "GroupId"),
        # The main one comes with the VPC, and nothing of ours is in it.
        (
            [it for it in aws.ec2.route_tables if any("SubnetId" in a for a in it["Associations"])],
            "RouteTableId",
        ),
        (aws.ec2.network_acls, "NetworkAclId"),
        (aws.ec2.vpc_endpoints, "VpcEndpointId"),
        (aws.ec2.flow_logs, "FlowLogId"),
        (aws.ec2.instances, "InstanceId"),
        (aws.ec2.volumes, "VolumeId"),
        ([aws.ec2.adder_launch_template], "LaunchTemplateName"),
        (aws.autoscaling.groups, "AutoScalingGroupName"),
        (aws.rds.databases, "DBInstanceIdentifier"),
        (aws.ecs.clusters, "clusterName"),
        (aws.ecs.services.values(), "serviceName"),
        (aws.ecs.task_definitions.values(), "taskDefinitionArn"),
        (aws.secretsmanager.secrets.values(), "Name"),
    ):
        for resource in kind:
            yield resource[key], resource
    arns = [aws.elbv2.load_balancer["LoadBalancerArn"], *aws.elbv2.target_groups]
    for described in aws.client("elbv2").describe_tags(ResourceArns=arns)["TagDescriptions"]:
        yield described["ResourceArn"].rpartition(":")[2], described
    for bucket in aws.s3.buckets:
        found = aws.s3.setting("get_bucket_tagging", bucket)
        yield bucket, {"Tags": found.get("TagSet", [])}
    for name in aws.logs.log_groups:
        yield name, {"Tags": aws.logs.tags(name)}
    for name in aws.iam.roles:
        yield f"role {name}", aws.iam.role(name)
    for service, arns in (
        ("sns", list(aws.sns.topics)),
        ("cloudwatch", [it["AlarmArn"] for it in aws.cloudwatch.alarms]),
        ("ecr", [it["repositoryArn"] for it in aws.ecr.repositories]),
        (
            "kms",
            sorted({it["kmsKeyId"] for it in aws.logs.log_groups.values() if "kmsKeyId" in it}),
        ),
        ("cloudfront", [aws.cloudfront.distribution["ARN"]]),
        ("wafv2", [aws.wafv2.web_acl["ARN"]] if aws.wafv2.web_acl else []),
    ):
        for arn in arns:
            yield arn.split(":", 5)[5], {"Tags": getattr(aws, service).tags(arn)}
