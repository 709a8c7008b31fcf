"""Every resource of an account, by asking each service that the deployment uses."""

from collections.abc import Callable, Iterator
from typing import Any

# A function that gives a boto3 client of a service.
Clients = Callable[[str], Any]
# Its kind, and its name.
Resource = tuple[str, str]

# For each kind of resource: the service, the call that lists it, where the list is, its name.
_LISTS: dict[str, tuple[str, str, str, str]] = {
    "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "auto scaling group": (
        *("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups"),
        "AutoScalingGroupName",
    ),
    "bucket": ("s3", "list_buckets", "Buckets", "Name"),
    "certificate": ("acm", "list_certificates", "CertificateSummaryList", "DomainName"),
    "dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    "database": ("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
    "database parameters": (
        *("rds", "describe_db_parameter_groups", "DBParameterGroups", "DBParameterGroupName"),
    ),
    "database snapshot": ("rds", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier"),
    "database subnets": ("rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"),
    "flow log": ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    "image repository": ("ecr", "describe_repositories", "repositories", "repositoryName"),
    "instance profile": (
        *("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ),
    "internet gateway": (
        *("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ),
    "key alias": ("kms", "list_aliases", "Aliases", "AliasName"),
    "key pair": ("ec2", "describe_key_pairs", "KeyPairs", "KeyName"),
    "kms key": ("kms", "list_keys", "Keys", "KeyId"),
    "launch template": (
        *("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateName"),
    ),
    "load balancer": ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    "log group": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "network": ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    "network acl": ("ec2", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
    "network interface": (
        *("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ),
    "policy": ("iam", "list_policies", "Policies", "PolicyName"),
    "role": ("iam", "list_roles", "Roles", "RoleName"),
    "route table": ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    "schedule": ("scheduler", "list_schedules", "Schedules", "Name"),
    "secret": ("secretsmanager", "list_secrets", "SecretList", "Name"),
    "security group": ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    "subnet": ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    "subscription": ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    "target group": ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
    "topic": ("sns", "list_topics", "Topics", "TopicArn"),
    "volume": ("ec2", "describe_volumes", "Volumes", "VolumeId"),
}


def everything(client: Clients) -> set[Resource]:
    """List all resources."""
    found: set[Resource] = set()
    for kind, (service, call, listed, name) in _LISTS.items():
        of = client(service)
        given: dict[str, Any] = {"Scope": "Local"} if call == "list_policies" else {}
        # Some lists come in pages, others whole.
        pages = (
            of.get_paginator(call).paginate(**given)
            if of.can_paginate(call)
            else [getattr(of, call)(**given)]
        )
        found |= {(kind, str(item[name])) for page in pages for item in page.get(listed) or []}
    for kind, names in _OTHERS.items():
        found |= {(kind, name) for name in names(client)}
    return found


def _instances(client: Clients) -> Iterator[str]:
    for reservation in client("ec2").describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            # A terminated instance is shown for an hour.
            if instance["State"]["Name"] != "terminated":
                yield instance["InstanceId"]


def _endpoints(client: Clients) -> Iterator[str]:
    for endpoint in client("ec2").describe_vpc_endpoints()["VpcEndpoints"]:
        # So is a deleted endpoint.
        if endpoint["State"] != "deleted":
            yield endpoint["VpcEndpointId"]


def _budgets(client: Clients) -> Iterator[str]:
    budgets = client("budgets").describe_budgets(AccountId="123456789012")
    yield from (budget["BudgetName"] for budget in budgets["Budgets"])


def _distributions(client: Clients) -> Iterator[str]:
    listed = client("cloudfront").list_distributions()["DistributionList"]
    yield from (distribution["Id"] for distribution in listed.get("Items", []))


def _vpc_origins(client: Clients) -> Iterator[str]:
    listed = client("cloudfront").list_vpc_origins()["VpcOriginList"]
    yield from (origin["Id"] for origin in listed.get("Items", []))


def _firewalls(client: Clients) -> Iterator[str]:
    for scope in ("REGIONAL", "CLOUDFRONT"):
        listed = client("wafv2").list_web_acls(Scope=scope)["WebACLs"]
        yield from (firewall["Name"] for firewall in listed)


def _clusters(client: Clients) -> Iterator[str]:
    ecs = client("ecs")
    for cluster in ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]:
        if cluster["status"] == "ACTIVE":
            yield cluster["clusterName"]


def _documents(client: Clients) -> Iterator[str]:
    own = [{"Key": "Owner", "Values": ["Self"]}]
    for page in client("ssm").get_paginator("list_documents").paginate(Filters=own):
        yield from (document["Name"] for document in page["DocumentIdentifiers"])


def _task_definitions(client: Clients) -> Iterator[str]:
    yield from client("ecs").list_task_definitions(status="ACTIVE")["taskDefinitionArns"]


def _scalable_targets(client: Clients) -> Iterator[str]:
    listed = client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")
    yield from (target["ResourceId"] for target in listed["ScalableTargets"])


def _records(client: Clients) -> Iterator[str]:
    route53 = client("route53")
    for zone in route53.list_hosted_zones()["HostedZones"]:
        for record in route53.list_resource_record_sets(HostedZoneId=zone["Id"])[
            "ResourceRecordSets"
        ]:
            yield f"{record['Type']} {record['Name']}"


def _identity_providers(client: Clients) -> Iterator[str]:
    listed = client("iam").list_open_id_connect_providers()
    yield from (provider["Arn"] for provider in listed["OpenIDConnectProviderList"])


_OTHERS: dict[str, Callable[[Clients], Iterator[str]]] = {
    "budget": _budgets,
    "cluster": _clusters,
    "distribution": _distributions,
    "document": _documents,
    "endpoint": _endpoints,
    "firewall": _firewalls,
    "identity provider": _identity_providers,
    "instance": _instances,
    "record": _records,
    "scalable target": _scalable_targets,
    "task definition": _task_definitions,
    "vpc origin": _vpc_origins,
}
