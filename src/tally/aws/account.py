"""What stands in the AWS account: each kind of thing is asked for once, when it is first needed.

Everything is found by the tag `Deployment` and by names that begin with the deployment's, never
from Terraform's state: the check must also see what Terraform did not make.
"""

import base64
import gzip
import http.client
import json
import os
import ssl
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# As AWS documents its answers; their shapes are botocore's own.
Thing = dict[str, Any]

REGION: Final = "us-east-1"
SERVICES: Final = ("adder", "display", "reset")
CONTAINER_SERVICES: Final = ("display", "reset")
# How the account's own records of calls, and the test of the roles' rights, know who asked.
AGENT: Final = "tally-check"
# An answer to one question takes well under a second; a question is asked up to five times.
_CONFIG: Final = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    user_agent_extra=AGENT,
)
# How many things some calls describe at once, by AWS's own limits.
_ECS_BATCH: Final = 10


class NotFound(Exception):
    """A thing that every deployment has is not there; the message names it."""


class Account:
    """One deployment in one account and region."""

    def __init__(
        self,
        name: str,
        *,
        address: str | None = None,
        authorities: Path | None = None,
        session: boto3.Session | None = None,
    ) -> None:
        """Remember the deployment's name; nothing is asked yet.

        Credentials, and AWS_ENDPOINT_URL, are the session's own matter. `address` is where the
        public goes, if it is not the one found; `authorities` are trusted there instead of the
        system's.
        """
        self.name = name
        self.address = address
        self.plain_port = http.client.HTTP_PORT
        self.emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))
        self._authorities = authorities
        self._session = session or boto3.Session()
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        return self._session.client(service, region_name=REGION, config=_CONFIG)

    def all(self, service: str, operation: str, key: str, **arguments: object) -> list[Thing]:
        """Give everything under `key` of all pages of an answer."""
        client = self.client(service)
        if not client.can_paginate(operation):
            return list(getattr(client, operation)(**arguments).get(key, []))
        pages = client.get_paginator(operation).paginate(**arguments)
        return [thing for page in pages for thing in page.get(key) or []]

    def _named(self, things: Iterable[Thing], key: str) -> list[Thing]:
        """Those whose name begins with the deployment's, and with no longer one's."""
        own, others = _begins(self.name), tuple(it for name in self.others for it in _begins(name))
        return [
            thing
            for thing in things
            if thing[key] == self.name
            or (thing[key].startswith(own) and not thing[key].startswith(others))
        ]

    def _ec2(self, operation: str, key: str, **filters: list[str]) -> list[Thing]:
        given = [{"Name": name.replace("_", "-"), "Values": v} for name, v in filters.items()]
        return self.all("ec2", operation, key, Filters=given)

    def _in_vpc(self, operation: str, key: str) -> list[Thing]:
        return self._ec2(operation, key, vpc_id=[self.vpc["VpcId"]])

    def new_trust(self) -> ssl.SSLContext:
        """Whose certificates are believed at the public address."""
        return ssl.create_default_context(cafile=self._authorities)

    # The account

    @cached_property
    def id(self) -> str:
        """The account's number."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def others(self) -> list[str]:
        """Other deployments here whose names begin with this one's, such as `tally-two`."""
        tagged = [{"Name": "tag-key", "Values": ["Deployment"]}]
        found = self.all("ec2", "describe_vpcs", "Vpcs", Filters=tagged)
        names = {tags_of(vpc)["Deployment"] for vpc in found}
        return sorted(name for name in names if name.startswith(f"{self.name}-"))

    @cached_property
    def profile(self) -> str:
        """What was deployed: `production` or `small`, as the network's tag says."""
        return tags_of(self.vpc).get("Profile", "")

    # The network

    @cached_property
    def vpcs(self) -> list[Thing]:
        """The deployment's networks."""
        tagged = [{"Name": "tag:Deployment", "Values": [self.name]}]
        return self.all("ec2", "describe_vpcs", "Vpcs", Filters=tagged)

    @cached_property
    def vpc(self) -> Thing:
        """The deployment's one network."""
        if len(self.vpcs) != 1:
            found = ", ".join(vpc["VpcId"] for vpc in self.vpcs) or "none"
            raise NotFound(f"one VPC tagged Deployment={self.name} (found: {found})")
        return self.vpcs[0]

    @cached_property
    def subnets(self) -> dict[str, Thing]:
        """Subnets by id."""
        return {it["SubnetId"]: it for it in self._in_vpc("describe_subnets", "Subnets")}

    @cached_property
    def route_tables(self) -> list[Thing]:
        """Route tables."""
        return self._in_vpc("describe_route_tables", "RouteTables")

    def routes(self, subnet: str) -> list[Thing]:
        """The active routes of a subnet: of its own route table, or else of the VPC's main one."""
        own = [
            table
            for table in self.route_tables
            if any(it.get("SubnetId") == subnet for it in table["Associations"])
        ]
        main = [
            table
            for table in self.route_tables
            if any(it.get("Main") for it in table["Associations"])
        ]
        tables = own or main
        return [
            route
            for table in tables
            for route in table["Routes"]
            if route.get("State", "active") == "active"
        ]

    @cached_property
    def network_acls(self) -> list[Thing]:
        """Network access lists."""
        return self._in_vpc("describe_network_acls", "NetworkAcls")

    @cached_property
    def security_groups(self) -> dict[str, Thing]:
        """Security groups by id."""
        groups = self._in_vpc("describe_security_groups", "SecurityGroups")
        return {group["GroupId"]: group for group in groups}

    @cached_property
    def endpoints(self) -> list[Thing]:
        """Endpoints of AWS services inside the network."""
        return self._in_vpc("describe_vpc_endpoints", "VpcEndpoints")

    @cached_property
    def nat_gateways(self) -> list[Thing]:
        """NAT gateways that stand."""
        found = self.all(
            "ec2",
            "describe_nat_gateways",
            "NatGateways",
            Filter=[{"Name": "vpc-id", "Values": [self.vpc["VpcId"]]}],
        )
        return [nat for nat in found if nat["State"] not in ("deleting", "deleted", "failed")]

    @cached_property
    def network_interfaces(self) -> list[Thing]:
        """Network interfaces: whatever has an address in the network."""
        return self._in_vpc("describe_network_interfaces", "NetworkInterfaces")

    @cached_property
    def peerings(self) -> list[Thing]:
        """Peerings of the network with others, from either side."""
        own = [self.vpc["VpcId"]]
        sides = ("requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id")
        found = {
            it["VpcPeeringConnectionId"]: it
            for side in sides
            for it in self.all(
                "ec2",
                "describe_vpc_peering_connections",
                "VpcPeeringConnections",
                Filters=[{"Name": side, "Values": own}],
            )
        }
        gone = ("deleted", "rejected", "expired", "failed", "deleting")
        return [it for it in found.values() if it["Status"]["Code"] not in gone]

    @cached_property
    def flow_logs(self) -> list[Thing]:
        """Flow logs of the network."""
        filters = [{"Name": "resource-id", "Values": [self.vpc["VpcId"]]}]
        return self.all("ec2", "describe_flow_logs", "FlowLogs", Filter=filters)

    @cached_property
    def prefix_lists(self) -> dict[str, str]:
        """Names of address lists by id, AWS's own included."""
        found = self.all("ec2", "describe_managed_prefix_lists", "PrefixLists")
        return {it["PrefixListId"]: it["PrefixListName"] for it in found}

    # Machines

    @cached_property
    def instances(self) -> list[Thing]:
        """Machines that are not gone."""
        found = self._in_vpc("describe_instances", "Reservations")
        return [
            instance
            for reservation in found
            for instance in reservation["Instances"]
            if instance["State"]["Name"] not in ("shutting-down", "terminated")
        ]

    @cached_property
    def bastions(self) -> list[Thing]:
        """Machines that are named as the bastion."""
        return [it for it in self.instances if tags_of(it).get("Name") == f"{self.name}-bastion"]

    @cached_property
    def volumes(self) -> list[Thing]:
        """Disks of the machines."""
        ids = [it["InstanceId"] for it in self.instances]
        if not ids:
            return []
        return self._ec2("describe_volumes", "Volumes", **{"attachment.instance_id": ids})

    def user_data(self, instance: str) -> str:
        """What a machine was started with, as text."""
        answer = self.client("ec2").describe_instance_attribute(
            InstanceId=instance, Attribute="userData"
        )
        return _user_data(answer["UserData"].get("Value", ""))

    def document(self, name: str) -> Thing:
        """What a document of Systems Manager says, in the version that is in force."""
        try:
            answer = self.client("ssm").get_document(Name=name, DocumentFormat="JSON")
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidDocument":
                raise NotFound(f"document {name} of Systems Manager") from error
            raise
        return cast("Thing", json.loads(answer["Content"]))

    @cached_property
    def scaling_groups(self) -> list[Thing]:
        """Auto scaling groups."""
        found = self.all("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups")
        return self._named(found, "AutoScalingGroupName")

    @cached_property
    def adder_group(self) -> Thing:
        """The adder's auto scaling group."""
        return _one(
            (it for it in self.scaling_groups if it["AutoScalingGroupName"].endswith("-adder")),
            f"auto scaling group {self.name}-adder",
        )

    @cached_property
    def _given_template(self) -> Thing:
        """The launch template, by id, and its version, as the adder's group names them."""
        group = self.adder_group
        mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
        given = group.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification")
        if not given:
            raise NotFound(f"launch template of {group['AutoScalingGroupName']}")
        return cast("Thing", given)

    @cached_property
    def adder_launch_template(self) -> Thing:
        """The adder's launch template itself, of whatever version."""
        wanted = self._given_template["LaunchTemplateId"]
        found = self.all(
            "ec2", "describe_launch_templates", "LaunchTemplates", LaunchTemplateIds=[wanted]
        )
        return _one(found, f"launch template {wanted}")

    @cached_property
    def adder_template(self) -> Thing:
        """The version of the launch template that the adder's next machine is made from."""
        given = self._given_template
        versions = self.all(
            "ec2",
            "describe_launch_template_versions",
            "LaunchTemplateVersions",
            LaunchTemplateId=given["LaunchTemplateId"],
            Versions=[given.get("Version") or "$Default"],
        )
        template = dict(_one(versions, f"version of {given['LaunchTemplateId']}"))
        template["UserData"] = _user_data(template["LaunchTemplateData"].get("UserData", ""))
        return template

    @cached_property
    def instance_refreshes(self) -> list[Thing]:
        """The adder's releases: replacements of all its machines, newest first."""
        return self.all(
            "autoscaling",
            "describe_instance_refreshes",
            "InstanceRefreshes",
            AutoScalingGroupName=self.adder_group["AutoScalingGroupName"],
        )

    # Ingress

    @cached_property
    def load_balancers(self) -> list[Thing]:
        """Load balancers of the network."""
        found = self.all("elbv2", "describe_load_balancers", "LoadBalancers")
        return [it for it in found if it.get("VpcId") == self.vpc["VpcId"]]

    @cached_property
    def load_balancer(self) -> Thing:
        """The one load balancer."""
        return _one(self.load_balancers, f"load balancer in {self.vpc['VpcId']}")

    @cached_property
    def load_balancer_attributes(self) -> dict[str, str]:
        """The load balancer's settings."""
        answer = self.client("elbv2").describe_load_balancer_attributes(
            LoadBalancerArn=self.load_balancer["LoadBalancerArn"]
        )
        return {it["Key"]: it["Value"] for it in answer["Attributes"]}

    @cached_property
    def listeners(self) -> list[Thing]:
        """The load balancer's listeners, by port."""
        arn = self.load_balancer["LoadBalancerArn"]
        found = self.all("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn)
        return sorted(found, key=lambda listener: cast("int", listener["Port"]))

    @cache  # noqa: B019 - an account lives as long as the command
    def rules(self, listener: str) -> list[Thing]:
        """A listener's rules in the order of evaluation, without the default one."""
        found = self.all("elbv2", "describe_rules", "Rules", ListenerArn=listener)
        return sorted(
            (rule for rule in found if not rule["IsDefault"]),
            key=lambda rule: int(rule["Priority"]),
        )

    @cached_property
    def target_groups(self) -> dict[str, Thing]:
        """The load balancer's target groups by ARN."""
        found = self.all("elbv2", "describe_target_groups", "TargetGroups")
        return {it["TargetGroupArn"]: it for it in found if it.get("VpcId") == self.vpc["VpcId"]}

    def target_group_attributes(self, arn: str) -> dict[str, str]:
        """A target group's settings."""
        answer = self.client("elbv2").describe_target_group_attributes(TargetGroupArn=arn)
        return {it["Key"]: it["Value"] for it in answer["Attributes"]}

    def target_health(self, arn: str) -> list[str]:
        """How each of a target group's targets is."""
        answer = self.client("elbv2").describe_target_health(TargetGroupArn=arn)
        return [it["TargetHealth"]["State"] for it in answer["TargetHealthDescriptions"]]

    @cached_property
    def distribution(self) -> Thing | None:
        """The CloudFront distribution in front of the load balancer, with its settings."""
        for listed in self._distributions():
            origins = listed["Origins"]["Items"]
            if any(it["DomainName"] == self.load_balancer["DNSName"] for it in origins):
                answer = self.client("cloudfront").get_distribution(Id=listed["Id"])
                return cast("Thing", answer["Distribution"])
        return None

    def _distributions(self) -> list[Thing]:
        pages = self.client("cloudfront").get_paginator("list_distributions").paginate()
        return [it for page in pages for it in page["DistributionList"].get("Items", [])]

    def vpc_origin(self, identifier: str) -> Thing:
        """An entrance of CloudFront into the network."""
        answer = self.client("cloudfront").get_vpc_origin(Id=identifier)
        return cast("Thing", answer["VpcOrigin"])

    def certificate(self, arn: str) -> Thing:
        """A certificate, with its state."""
        answer = self.client("acm").describe_certificate(CertificateArn=arn)
        return cast("Thing", answer["Certificate"])

    @cached_property
    def firewall(self) -> Thing | None:
        """The firewall that the public passes: CloudFront's where there is one."""
        waf = self.client("wafv2")
        if self.distribution is not None:
            arn = self.distribution["DistributionConfig"].get("WebACLId", "")
            listed = waf.list_web_acls(Scope="CLOUDFRONT").get("WebACLs", [])
            for acl in listed:
                if acl["ARN"] == arn:
                    answer = waf.get_web_acl(Name=acl["Name"], Id=acl["Id"], Scope="CLOUDFRONT")
                    return cast("Thing", answer["WebACL"])
            return None
        try:
            answer = waf.get_web_acl_for_resource(ResourceArn=self.load_balancer["LoadBalancerArn"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "WAFNonexistentItemException":
                return None
            raise
        return cast("Thing | None", answer.get("WebACL"))

    @cached_property
    def public_host(self) -> str | None:
        """The host name that people use: the certificate's, or CloudFront's own."""
        if self.distribution is not None:
            aliases = self.distribution["DistributionConfig"].get("Aliases", {}).get("Items", [])
            return str(aliases[0] if aliases else self.distribution["DomainName"])
        for listener in self.listeners:
            for certificate in listener.get("Certificates", []):
                return str(self.certificate(certificate["CertificateArn"])["DomainName"])
        return None

    # Containers

    @cached_property
    def clusters(self) -> list[Thing]:
        """ECS clusters."""
        arns = self.all("ecs", "list_clusters", "clusterArns")
        wanted = f"{self.name}-containers"
        named = [arn for arn in cast("list[str]", arns) if arn.rpartition("/")[2] == wanted]
        if not named:
            return []
        answer = self.client("ecs").describe_clusters(clusters=named, include=["SETTINGS", "TAGS"])
        return list(answer["clusters"])

    @cached_property
    def ecs_services(self) -> dict[str, Thing]:
        """Container services by their short name, such as `display`."""
        found: dict[str, Thing] = {}
        for cluster in self.clusters:
            arns = self.all("ecs", "list_services", "serviceArns", cluster=cluster["clusterArn"])
            for start in range(0, len(arns), _ECS_BATCH):
                answer = self.client("ecs").describe_services(
                    cluster=cluster["clusterArn"],
                    services=arns[start : start + _ECS_BATCH],
                    include=["TAGS"],
                )
                for service in answer["services"]:
                    found[service["serviceName"].removeprefix(f"{self.name}-")] = service
        return found

    @cached_property
    def task_definitions(self) -> dict[str, Thing]:
        """What the container services run, with its tags, by the service's short name."""
        answers = {
            name: self.client("ecs").describe_task_definition(
                taskDefinition=service["taskDefinition"], include=["TAGS"]
            )
            for name, service in self.ecs_services.items()
        }
        return {
            name: {**answer["taskDefinition"], "tags": answer.get("tags", [])}
            for name, answer in answers.items()
        }

    @cached_property
    def scalable_targets(self) -> list[Thing]:
        """What is scaled between two bounds, among the containers."""
        found = self.all(
            "application-autoscaling",
            "describe_scalable_targets",
            "ScalableTargets",
            ServiceNamespace="ecs",
        )
        return [it for it in found if f"/{self.name}-containers/" in it["ResourceId"]]

    @cached_property
    def scaling_policies(self) -> list[Thing]:
        """By what the containers are scaled."""
        found = self.all(
            "application-autoscaling",
            "describe_scaling_policies",
            "ScalingPolicies",
            ServiceNamespace="ecs",
        )
        return [it for it in found if f"/{self.name}-containers/" in it["ResourceId"]]

    @cached_property
    def repositories(self) -> list[Thing]:
        """Image repositories."""
        found = self.all("ecr", "describe_repositories", "repositories")
        return self._named(found, "repositoryName")

    def lifecycle_policy(self, repository: str) -> str | None:
        """How a repository is cleaned, as JSON."""
        try:
            answer = self.client("ecr").get_lifecycle_policy(repositoryName=repository)
        except ClientError as error:
            if error.response["Error"]["Code"] == "LifecyclePolicyNotFoundException":
                return None
            raise
        return str(answer["lifecyclePolicyText"])

    # The database

    @cached_property
    def databases(self) -> list[Thing]:
        """Database machines."""
        found = self.all("rds", "describe_db_instances", "DBInstances")
        return self._named(found, "DBInstanceIdentifier")

    @cached_property
    def database(self) -> Thing:
        """The one database."""
        return _one(self.databases, f"database {self.name}-...")

    @cached_property
    def database_parameters(self) -> dict[str, str]:
        """The settings that the database's parameter groups give."""
        return {
            parameter["ParameterName"]: parameter["ParameterValue"]
            for group in self.database["DBParameterGroups"]
            for parameter in self.all(
                "rds",
                "describe_db_parameters",
                "Parameters",
                DBParameterGroupName=group["DBParameterGroupName"],
            )
            if "ParameterValue" in parameter
        }

    @cached_property
    def secrets(self) -> dict[str, Thing]:
        """The secrets, by name; their values are never read."""
        found = self.all("secretsmanager", "list_secrets", "SecretList")
        return {secret["Name"]: secret for secret in self._named(found, "Name")}

    # Logs, alarms, cost

    @cached_property
    def log_groups(self) -> dict[str, Thing]:
        """Log groups by name: the deployment's own, and those that AWS writes for it."""
        found = self.all("logs", "describe_log_groups", "logGroups")
        own = (
            f"/{self.name}/",
            f"/aws/rds/instance/{self.name}-database/",
            f"/aws/ecs/containerinsights/{self.name}-containers/",
        )
        return {
            it["logGroupName"]: it
            for it in found
            if it["logGroupName"].startswith(own)
            or it["logGroupName"] == f"aws-waf-logs-{self.name}"
        }

    def tags(self, service: str, arn: str) -> dict[str, str]:
        """The tags of a thing of a service that gives them only when asked for them."""
        client = self.client(service)
        if service == "kms":
            # The one with names of its own.
            listed = client.list_resource_tags(KeyId=arn)["Tags"]
            return {it["TagKey"]: it["TagValue"] for it in listed}
        if service == "cloudfront":
            listed = client.list_tags_for_resource(Resource=arn)["Tags"]["Items"]
            return tags_of({"Tags": listed})
        if service == "wafv2":
            answer = client.list_tags_for_resource(ResourceARN=arn)
            return tags_of({"Tags": answer["TagInfoForResource"]["TagList"]})
        parameter = {"sns": "ResourceArn", "cloudwatch": "ResourceARN", "ecr": "resourceArn"}
        return tags_of(client.list_tags_for_resource(**{parameter[service]: arn}))

    def log_group_tags(self, name: str) -> dict[str, str]:
        """A log group's tags."""
        arn = self.log_groups[name]["arn"].removesuffix(":*")
        answer = self.client("logs").list_tags_for_resource(resourceArn=arn)
        return cast("dict[str, str]", answer["tags"])

    @cached_property
    def alarms(self) -> list[Thing]:
        """Alarms."""
        found = self.all("cloudwatch", "describe_alarms", "MetricAlarms")
        return self._named(found, "AlarmName")

    @cached_property
    def dashboards(self) -> dict[str, Thing]:
        """Dashboards by name, with their content."""
        found = self.all("cloudwatch", "list_dashboards", "DashboardEntries")
        return {
            name: json.loads(
                self.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
            )
            for name in (it["DashboardName"] for it in self._named(found, "DashboardName"))
        }

    @cached_property
    def topics(self) -> dict[str, Thing]:
        """Notification topics by ARN, with their settings."""
        found = self.all("sns", "list_topics", "Topics")
        named = [{"Name": it["TopicArn"].rpartition(":")[2], **it} for it in found]
        return {
            it["TopicArn"]: self.client("sns").get_topic_attributes(TopicArn=it["TopicArn"])[
                "Attributes"
            ]
            for it in self._named(named, "Name")
        }

    @cached_property
    def budgets(self) -> list[Thing]:
        """Budgets, each with its notifications, and these with whom they tell."""
        found = self.all("budgets", "describe_budgets", "Budgets", AccountId=self.id)
        return [
            {
                **budget,
                "Notifications": [
                    {**it, "Subscribers": self._subscribers(budget["BudgetName"], it)}
                    for it in self.all(
                        "budgets",
                        "describe_notifications_for_budget",
                        "Notifications",
                        AccountId=self.id,
                        BudgetName=budget["BudgetName"],
                    )
                ],
            }
            for budget in self._named(found, "BudgetName")
        ]

    def _subscribers(self, budget: str, notification: Thing) -> list[Thing]:
        return self.all(
            "budgets",
            "describe_subscribers_for_notification",
            "Subscribers",
            AccountId=self.id,
            BudgetName=budget,
            Notification=notification,
        )

    # Buckets

    @cached_property
    def buckets(self) -> list[str]:
        """Names of the buckets."""
        found = self.all("s3", "list_buckets", "Buckets")
        return [it["Name"] for it in self._named(found, "Name")]

    def bucket_setting(self, operation: str, bucket: str) -> Thing:
        """One setting of a bucket; empty where it was never made."""
        try:
            return cast("Thing", getattr(self.client("s3"), operation)(Bucket=bucket))
        except ClientError as error:
            # NoSuchBucketPolicy, NoSuchLifecycleConfiguration and so on; not NoSuchBucket.
            code = error.response["Error"]["Code"]
            if (code.startswith("NoSuch") and code != "NoSuchBucket") or code.endswith(_NEVER_MADE):
                return {}
            raise

    def bucket_policy(self, bucket: str) -> list[Thing]:
        """The statements of a bucket's policy."""
        text = self.bucket_setting("get_bucket_policy", bucket).get("Policy")
        return statements(json.loads(text)) if text else []

    # Access

    @cached_property
    def roles(self) -> dict[str, Thing]:
        """Roles by name; `Policies` are all their statements by policy."""
        found = self.all("iam", "list_roles", "Roles")
        return {
            role["RoleName"]: {**role, "Policies": self._role_policies(role["RoleName"])}
            for role in self._named(found, "RoleName")
        }

    def _role_policies(self, role: str) -> dict[str, list[Thing]]:
        iam = self.client("iam")
        policies: dict[str, list[Thing]] = {}
        inline = self.all("iam", "list_role_policies", "PolicyNames", RoleName=role)
        for name in cast("list[str]", inline):
            answer = iam.get_role_policy(RoleName=role, PolicyName=name)
            policies[name] = statements(_document(answer["PolicyDocument"]))
        attached = self.all("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=role)
        for policy in attached:
            policies[policy["PolicyArn"]] = self._managed_policy(policy["PolicyArn"])
        return policies

    @cache  # noqa: B019 - an account lives as long as the command
    def role(self, name: str) -> Thing:
        """A role with its tags and its boundary, which a list of roles leaves out."""
        return cast("Thing", self.client("iam").get_role(RoleName=name)["Role"])

    def boundary(self, role: str) -> str | None:
        """The ARN of the policy that bounds what a role can do."""
        bound = self.role(role).get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return str(bound) if bound else None

    @cache  # noqa: B019 - an account lives as long as the command
    def _managed_policy(self, arn: str) -> list[Thing]:
        iam = self.client("iam")
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = iam.get_policy_version(PolicyArn=arn, VersionId=version)
        return statements(_document(answer["PolicyVersion"]["Document"]))

    @cached_property
    def own_policies(self) -> dict[str, list[Thing]]:
        """Statements of every policy that the deployment brings, by role and policy or by ARN."""
        policies = {
            f"{role} / {name}": found
            for role, thing in self.roles.items()
            for name, found in thing["Policies"].items()
            if not name.startswith("arn:")
        }
        made = self.all("iam", "list_policies", "Policies", Scope="Local")
        for policy in self._named(made, "PolicyName"):
            policies[policy["Arn"]] = self._managed_policy(policy["Arn"])
        return policies

    def instance_profile_role(self, profile: str) -> str:
        """The role of an instance profile, which is given by ARN or name."""
        answer = self.client("iam").get_instance_profile(
            InstanceProfileName=profile.rpartition("/")[2]
        )
        return str(answer["InstanceProfile"]["Roles"][0]["RoleName"])

    @cached_property
    def identity_providers(self) -> dict[str, Thing]:
        """OpenID Connect providers of the account, by ARN."""
        found = self.all("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList")
        return {
            it["Arn"]: self.client("iam").get_open_id_connect_provider(
                OpenIDConnectProviderArn=it["Arn"]
            )
            for it in found
        }

    @cached_property
    def users(self) -> list[Thing]:
        """IAM users whose name begins with the deployment's."""
        return self._named(self.all("iam", "list_users", "Users"), "UserName")


_NEVER_MADE: Final = ("NotFoundError", "NotFoundException")


def _begins(name: str) -> tuple[str, ...]:
    return f"{name}-", f"{name}/", f"/{name}/"


def _one(things: Iterable[Thing], wanted: str) -> Thing:
    found = list(things)
    if len(found) != 1:
        raise NotFound(f"one {wanted} (found: {len(found)})")
    return found[0]


def tags_of(thing: Thing) -> dict[str, str]:
    """A thing's tags, in whichever of AWS's spellings they come."""
    listed = thing.get("Tags") or thing.get("tags") or thing.get("TagList") or []
    if isinstance(listed, dict):
        return listed
    return {(it.get("Key") or it["key"]): it.get("Value", it.get("value", "")) for it in listed}


def groups_of(instance: Thing) -> list[str]:
    """A machine's security groups: its own, and those of its network interfaces."""
    cards = instance.get("NetworkInterfaces", [])
    listed = [*instance["SecurityGroups"], *(it for card in cards for it in card["Groups"])]
    return sorted({it["GroupId"] for it in listed})


def statements(document: Thing) -> list[Thing]:
    """A policy's statements, each with lists where AWS also takes a single text."""
    listed = document["Statement"]
    return [
        {
            **statement,
            **{
                key: [statement[key]] if isinstance(statement[key], str) else statement[key]
                for key in ("Action", "NotAction", "Resource", "NotResource")
                if key in statement
            },
        }
        for statement in (listed if isinstance(listed, list) else [listed])
    ]


def _document(policy: Thing | str) -> Thing:
    return json.loads(unquote(policy)) if isinstance(policy, str) else policy


def _user_data(encoded: str) -> str:
    data = base64.b64decode(encoded)
    # cloud-init unpacks what is gzipped.
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
