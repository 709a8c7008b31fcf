"""For every requirement: how to break exactly that, through AWS's own API.

A mutation names the requirement that has to fail, and its companions: requirements that are about
the same fact and can't but fail with it. Everything else has to stand as before.
"""

import base64
import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tally.aws.account import SERVICES, groups_of

ANYONE = "0.0.0.0/0"


@dataclass(frozen=True)
class Mutation:
    """What to break, on which deployment, and what has to fail then."""

    requirement: str
    companions: frozenset[str]
    profile: str
    change: Callable[["Cloud"], None]

    @property
    def id(self) -> str:
        return f"{self.profile}-{self.requirement}-{self.change.__name__}"


MUTATIONS: list[Mutation] = []


def breaks(requirement: str, *companions: str, profile: str = "production") -> Callable:
    """Declare what a function breaks. The small profile has a domain, the other CloudFront."""

    def declare(change: Callable[["Cloud"], None]) -> Callable[["Cloud"], None]:
        MUTATIONS.append(Mutation(requirement, frozenset(companions), profile, change))
        return change

    return declare


# For requirements that are waived, and so broken already: how to meet them.
MET: dict[str, Callable[["Cloud"], None]] = {}


def meets(requirement: str) -> Callable:
    """Declare which waived requirement a function meets."""

    def declare(change: Callable[["Cloud"], None]) -> Callable[["Cloud"], None]:
        MET[requirement] = change
        return change

    return declare


class Cloud:
    """A deployment to change, found by its names."""

    def __init__(self, name: str, client: Callable[[str], Any]) -> None:
        self.name = name
        self.client = cache(client)

    def __getattr__(self, service: str) -> Any:
        return self.client(service)

    @property
    def tags(self) -> list[dict[str, str]]:
        tags = {"Project": "tally", "Deployment": self.name, "Profile": "production"}
        return [{"Key": k, "Value": v} for k, v in {**tags, "ManagedBy": "a test"}.items()]

    def tagged(self, kind: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": self.tags}]

    def id_of(self, kind: str, key: str, identifier: str, name: str) -> str:
        """An EC2 thing's id, by its Name tag."""
        filters = [{"Name": "tag:Name", "Values": [f"{self.name}-{name}"]}]
        (found,) = getattr(self.ec2, f"describe_{kind}")(Filters=filters)[key]
        return found[identifier]

    def vpc(self) -> str:
        return self.id_of("vpcs", "Vpcs", "VpcId", "network")

    def group(self, role: str) -> str:
        filters = [{"Name": "group-name", "Values": [f"{self.name}-{role}"]}]
        (found,) = self.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return found["GroupId"]

    def subnets(self, tier: str) -> list[str]:
        filters = [{"Name": "tag:Tier", "Values": [tier]}]
        found = self.ec2.describe_subnets(Filters=filters)["Subnets"]
        return [it["SubnetId"] for it in sorted(found, key=lambda it: it["AvailabilityZone"])]

    def let_in(self, role: str, peer: dict[str, str], port: int, last: int | None = None) -> None:
        """Add a rule to a role's security group."""
        kind = {"CidrIp": "IpRanges", "CidrIpv6": "Ipv6Ranges", "GroupId": "UserIdGroupPairs"}
        (key,) = peer
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": last or port}
        self.ec2.authorize_security_group_ingress(
            GroupId=self.group(role), IpPermissions=[{**permission, kind[key]: [peer]}]
        )

    # Ingress

    def balancer(self) -> str:
        found = self.elbv2.describe_load_balancers(Names=[f"{self.name}-load-balancer"])
        return found["LoadBalancers"][0]["LoadBalancerArn"]

    def set_balancer(self, key: str, value: str) -> None:
        self.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=self.balancer(), Attributes=[{"Key": key, "Value": value}]
        )

    def listener(self, port: int) -> str:
        found = self.elbv2.describe_listeners(LoadBalancerArn=self.balancer())["Listeners"]
        return next(it["ListenerArn"] for it in found if it["Port"] == port)

    def rule(self, port: int, priority: int) -> str:
        found = self.elbv2.describe_rules(ListenerArn=self.listener(port))["Rules"]
        return next(it["RuleArn"] for it in found if it["Priority"] == str(priority))

    def targets(self, service: str) -> str:
        found = self.elbv2.describe_target_groups(Names=[f"{self.name}-{service}"])
        return found["TargetGroups"][0]["TargetGroupArn"]

    def change_distribution(self, change: Callable[[dict[str, Any]], None]) -> None:
        (listed,) = self.cloudfront.list_distributions()["DistributionList"]["Items"]
        found = self.cloudfront.get_distribution_config(Id=listed["Id"])
        config = found["DistributionConfig"]
        change(config)
        self.cloudfront.update_distribution(
            DistributionConfig=config, Id=listed["Id"], IfMatch=found["ETag"]
        )

    def change_firewall(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        scope = {"Scope": "CLOUDFRONT"}
        (listed,) = self.wafv2.list_web_acls(**scope)["WebACLs"]
        found = self.wafv2.get_web_acl(Name=listed["Name"], Id=listed["Id"], **scope)
        acl = found["WebACL"]
        change(acl["Rules"])
        self.wafv2.update_web_acl(
            Name=acl["Name"],
            Id=acl["Id"],
            DefaultAction=acl["DefaultAction"],
            Rules=acl["Rules"],
            VisibilityConfig=acl["VisibilityConfig"],
            LockToken=found.get("LockToken") or listed["LockToken"],
            **scope,
        )

    # Machines

    def new_template(self, change: Callable[[dict[str, Any]], None]) -> str:
        """Make a version of the adder's launch template."""
        name = f"{self.name}-adder"
        found = self.ec2.describe_launch_template_versions(
            LaunchTemplateName=name, Versions=["$Latest"]
        )
        data = copy.deepcopy(found["LaunchTemplateVersions"][0]["LaunchTemplateData"])
        change(data)
        made = self.ec2.create_launch_template_version(
            LaunchTemplateName=name, LaunchTemplateData=data
        )
        return str(made["LaunchTemplateVersion"]["VersionNumber"])

    def change_template(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Replace the machines by others."""
        self.refresh(self.new_template(change))

    def group_of_machines(self) -> dict[str, Any]:
        return self.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]

    def refresh(self, version: str = "1", **preferences: object) -> None:
        """Replace the machines as a release does, except for some of its preferences."""
        template = self.group_of_machines()["LaunchTemplate"]["LaunchTemplateId"]
        desired = {"LaunchTemplateId": template, "Version": version}
        self.autoscaling.start_instance_refresh(
            AutoScalingGroupName=f"{self.name}-adder",
            DesiredConfiguration={"LaunchTemplate": desired},
            Preferences={
                "MinHealthyPercentage": 100,
                "AutoRollback": True,
                "AlarmSpecification": {"Alarms": [f"{self.name}-adder-errors"]},
                **preferences,
            },
        )

    def change_user_data(self, change: Callable[[str], str]) -> None:
        def edit(data: dict[str, Any]) -> None:
            given = base64.b64decode(data["UserData"])
            text = (gzip.decompress(given) if given[:2] == b"\x1f\x8b" else given).decode()
            assert change(text) != text
            data["UserData"] = base64.b64encode(change(text).encode()).decode()

        self.change_template(edit)

    def bastion(self) -> dict[str, Any]:
        filters = [
            {"Name": "tag:Name", "Values": [f"{self.name}-bastion"]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        (reservation,) = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return reservation["Instances"][0]

    def start_the_bastion_with(self, old: str, new: str) -> None:
        """End the bastion and start one with something else in its user data."""

        def change(machine: dict[str, Any]) -> None:
            assert old in machine["UserData"]
            machine["UserData"] = machine["UserData"].replace(old, new)

        self.replace_bastion(change)

    def replace_bastion(self, change: Callable[[dict[str, Any]], None]) -> None:
        """End the bastion and start one that differs."""
        old = self.bastion()
        attribute = self.ec2.describe_instance_attribute(
            InstanceId=old["InstanceId"], Attribute="userData"
        )
        arguments: dict[str, Any] = {
            "ImageId": old["ImageId"],
            "InstanceType": old["InstanceType"],
            "KeyName": old["KeyName"],
            "IamInstanceProfile": {"Arn": old["IamInstanceProfile"]["Arn"]},
            "UserData": base64.b64decode(attribute["UserData"]["Value"]).decode(),
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "SubnetId": old["SubnetId"],
                    "Groups": groups_of(old),
                    "AssociatePublicIpAddress": True,
                }
            ],
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 8}}
            ],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": old["Tags"]} for kind in ("instance", "volume")
            ],
        }
        change(arguments)
        self.ec2.terminate_instances(InstanceIds=[old["InstanceId"]])
        arguments = {key: value for key, value in arguments.items() if value is not None}
        self.ec2.run_instances(MinCount=1, MaxCount=1, **arguments)

    def change_session(self, **inputs: object) -> None:
        """Tell Session Manager something else of a session."""
        name = f"{self.name}-session"
        content = json.loads(self.ssm.get_document(Name=name)["Content"])
        content["inputs"] |= inputs
        made = self.ssm.update_document(
            Name=name, Content=json.dumps(content), DocumentVersion="$LATEST"
        )
        self.ssm.update_document_default_version(
            Name=name, DocumentVersion=made["DocumentDescription"]["DocumentVersion"]
        )

    # Containers

    def service(self, service: str) -> dict[str, str]:
        return {"cluster": f"{self.name}-containers", "service": f"{self.name}-{service}"}

    def found(self, service: str) -> dict[str, Any]:
        return self.ecs.describe_services(
            cluster=self.service(service)["cluster"], services=[self.service(service)["service"]]
        )["services"][0]

    def placed(self, service: str) -> dict[str, Any]:
        found = self.found(service)
        return copy.deepcopy(found["networkConfiguration"]["awsvpcConfiguration"])

    def place(self, service: str, **changes: object) -> None:
        placed = {**self.placed(service), **changes}
        self.ecs.update_service(
            **self.service(service), networkConfiguration={"awsvpcConfiguration": placed}
        )

    def change_task(
        self,
        change: Callable[[dict[str, dict[str, Any]]], None],
        deployment: dict[str, Any] | None = None,
        **settings: object,
    ) -> None:
        """Run a display whose containers, given by name, differ."""
        family = f"{self.name}-display"
        answer = self.ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
        found = answer["taskDefinition"]
        containers = found["containerDefinitions"]
        change({it["name"]: it for it in containers})
        kept = ("executionRoleArn", "taskRoleArn", "networkMode", "cpu", "memory")
        made = self.ecs.register_task_definition(
            family=family,
            containerDefinitions=containers,
            **{
                "requiresCompatibilities": ["FARGATE"],
                **{key: found[key] for key in kept},
                "tags": answer["tags"],
                **settings,
            },
        )["taskDefinition"]
        self.ecs.update_service(
            **self.service("display"),
            taskDefinition=made["taskDefinitionArn"],
            deploymentConfiguration={
                **self.found("display")["deploymentConfiguration"],
                **(deployment or {}),
            },
        )

    # The rest

    def change_policy(self, policy: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Make a version of a managed policy whose statements differ, and let it be in force."""
        account = self.sts.get_caller_identity()["Account"]
        arn = f"arn:aws:iam::{account}:policy/{self.name}-{policy}"
        version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = self.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        before = json.dumps(found["Document"])
        change(found["Document"]["Statement"])
        assert json.dumps(found["Document"]) != before
        self.iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=json.dumps(found["Document"]), SetAsDefault=True
        )

    def warning(self, kind: str) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
        """Of a kind of the budget's warnings: the budget, the warning and whom it tells."""
        account = self.sts.get_caller_identity()["Account"]
        named = {"AccountId": account, "BudgetName": f"{self.name}-monthly"}
        found = self.budgets.describe_notifications_for_budget(**named)["Notifications"]
        (notification,) = (it for it in found if it["NotificationType"] == kind)
        (subscriber,) = self.budgets.describe_subscribers_for_notification(
            **named, Notification=notification
        )["Subscribers"]
        return named, notification, subscriber

    def rotate(self, role: str) -> None:
        """Let a role's secret rotate. AWS would ask for a function that does it, and call that."""
        self.secretsmanager.rotate_secret(
            SecretId=f"{self.name}/{role}", RotationRules={"AutomaticallyAfterDays": 30}
        )

    def change_database(self, **changes: object) -> None:
        self.rds.modify_db_instance(
            DBInstanceIdentifier=f"{self.name}-database", ApplyImmediately=True, **changes
        )

    def replace_database(self, **changes: object) -> None:
        """Delete the database and make one that differs in what can't be changed.

        Its owner's secret is a new one, and the schema step still asks for the old.
        """
        name = f"{self.name}-database"
        (old,) = self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        self.change_database(DeletionProtection=False)
        self.rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        same = (
            *("DBInstanceIdentifier", "DBInstanceClass", "Engine", "EngineVersion"),
            *("MasterUsername", "AllocatedStorage", "MultiAZ", "PubliclyAccessible"),
            *("StorageEncrypted", "BackupRetentionPeriod", "PreferredBackupWindow"),
            *("AutoMinorVersionUpgrade", "CopyTagsToSnapshot", "DeletionProtection"),
            *("CACertificateIdentifier",),
        )
        given: dict[str, Any] = {
            **{key: old[key] for key in same},
            "DBSubnetGroupName": old["DBSubnetGroup"]["DBSubnetGroupName"],
            "DBParameterGroupName": old["DBParameterGroups"][0]["DBParameterGroupName"],
            "VpcSecurityGroupIds": [it["VpcSecurityGroupId"] for it in old["VpcSecurityGroups"]],
            "EnableCloudwatchLogsExports": old["EnabledCloudwatchLogsExports"],
            "EnableIAMDatabaseAuthentication": True,
            "ManageMasterUserPassword": True,
            "Tags": old["TagList"],
        }
        self.rds.create_db_instance(**{**given, **changes})

    def bucket(self, what: str) -> str:
        account = self.sts.get_caller_identity()["Account"]
        return f"{self.name}-{what}-{account}"

    def allow(self, role: str, action: str, resource: str) -> None:
        """Add a policy to a role."""
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        self.iam.put_role_policy(
            RoleName=f"{self.name}-{role}",
            PolicyName="more",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )


# Network


@breaks("network-zones")
def lose_a_subnet(cloud: Cloud) -> None:
    cloud.ec2.delete_subnet(SubnetId=cloud.subnets("database")[1])


@breaks("network-tiers", "database-private")
def lead_the_database_to_the_internet(cloud: Cloud) -> None:
    filters = [{"Name": "attachment.vpc-id", "Values": [cloud.vpc()]}]
    (gateway,) = cloud.ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    cloud.ec2.create_route(
        RouteTableId=cloud.id_of("route_tables", "RouteTables", "RouteTableId", "database"),
        DestinationCidrBlock=ANYONE,
        GatewayId=gateway["InternetGatewayId"],
    )


@breaks("network-default-group")
def open_the_default_group(cloud: Cloud) -> None:
    filters = [
        {"Name": "group-name", "Values": ["default"]},
        {"Name": "vpc-id", "Values": [cloud.vpc()]},
    ]
    (group,) = cloud.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    cloud.ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"],
        IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}],
    )


@breaks("network-groups-named")
def let_in_a_range_of_the_network(cloud: Cloud) -> None:
    # Part of the network, and nobody's yet.
    cloud.let_in("adder", {"CidrIp": "10.60.200.0/24"}, 8080)


@breaks("network-group-a-role")
def share_a_group(cloud: Cloud) -> None:
    cloud.place("display", securityGroups=[cloud.group("display"), cloud.group("reset")])


@breaks("network-internet")
def open_another_port_to_the_internet(cloud: Cloud) -> None:
    cloud.let_in("load-balancer", {"CidrIp": ANYONE}, 8443)


@breaks("network-administration", "network-internet", "network-risky-ports")
def open_remote_desktop(cloud: Cloud) -> None:
    cloud.let_in("adder", {"CidrIp": ANYONE}, 3389)


@breaks("network-administration", "network-internet", "network-risky-ports")
def open_ssh_to_ipv6(cloud: Cloud) -> None:
    cloud.let_in("adder", {"CidrIpv6": "::/0"}, 20, 30)


@breaks("network-risky-ports", "network-internet")
def open_a_dashboard(cloud: Cloud) -> None:
    cloud.let_in("adder", {"CidrIp": ANYONE}, 5601)


@breaks("network-lists")
def let_ssh_past_the_network_list(cloud: Cloud) -> None:
    cloud.ec2.delete_network_acl_entry(
        NetworkAclId=cloud.id_of("network_acls", "NetworkAcls", "NetworkAclId", "public"),
        RuleNumber=200,
        Egress=False,
    )


@breaks("network-peering")
def peer_with_a_wide_route(cloud: Cloud) -> None:
    other = cloud.ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    peering = cloud.ec2.create_vpc_peering_connection(VpcId=cloud.vpc(), PeerVpcId=other)
    identifier = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    cloud.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=identifier)
    table = cloud.ec2.create_route_table(
        VpcId=cloud.vpc(), TagSpecifications=cloud.tagged("route-table")
    )
    cloud.ec2.create_route(
        RouteTableId=table["RouteTable"]["RouteTableId"],
        DestinationCidrBlock="10.99.0.0/16",
        VpcPeeringConnectionId=identifier,
    )


@breaks("network-database-callers")
def let_another_group_into_the_database(cloud: Cloud) -> None:
    cloud.let_in("database", {"GroupId": cloud.group("endpoints")}, 5432)


@breaks("network-no-public-address")
def start_a_machine_in_public(cloud: Cloud) -> None:
    cloud.ec2.run_instances(
        MinCount=1,
        MaxCount=1,
        ImageId=cloud.bastion()["ImageId"],
        InstanceType="t3.micro",
        MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "enabled"},
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": cloud.subnets("public")[0],
                "AssociatePublicIpAddress": True,
            }
        ],
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 8}}
        ],
        TagSpecifications=[*cloud.tagged("instance"), *cloud.tagged("volume")],
    )


@breaks("network-subnets-assign-none")
def give_out_public_addresses(cloud: Cloud) -> None:
    cloud.ec2.modify_subnet_attribute(
        SubnetId=cloud.subnets("public")[0], MapPublicIpOnLaunch={"Value": True}
    )


@breaks("network-way-out")
def close_an_endpoint(cloud: Cloud) -> None:
    identifier = cloud.id_of("vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "logs")
    cloud.ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])


# Reachability


@breaks("reachability-ports")
def let_the_display_call_the_adder(cloud: Cloud) -> None:
    cloud.let_in("adder", {"GroupId": cloud.group("display")}, 8080)
    cloud.ec2.authorize_security_group_egress(
        GroupId=cloud.group("display"),
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 8080,
                "ToPort": 8080,
                "UserIdGroupPairs": [{"GroupId": cloud.group("adder")}],
            }
        ],
    )


@breaks("reachability-paths")
def send_resets_to_the_display(cloud: Cloud) -> None:
    cloud.elbv2.modify_rule(
        RuleArn=cloud.rule(80, 40),
        Actions=[{"Type": "forward", "TargetGroupArn": cloud.targets("display")}],
    )


# Ingress


@breaks("ingress-tls")
def forget_old_tls(cloud: Cloud) -> None:
    cloud.elbv2.delete_rule(RuleArn=cloud.rule(80, 1))


@breaks("ingress-tls", profile="small")
def speak_old_tls(cloud: Cloud) -> None:
    cloud.elbv2.modify_listener(
        ListenerArn=cloud.listener(443), SslPolicy="ELBSecurityPolicy-2016-08"
    )


@breaks("ingress-https")
def serve_plain_http(cloud: Cloud) -> None:
    def change(config: dict[str, Any]) -> None:
        config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] = "allow-all"

    cloud.change_distribution(change)


@breaks("ingress-https", profile="small")
def redirect_to_plain_http(cloud: Cloud) -> None:
    redirect = {"Protocol": "HTTP", "Port": "8080", "StatusCode": "HTTP_301"}
    cloud.elbv2.modify_listener(
        ListenerArn=cloud.listener(80),
        DefaultActions=[{"Type": "redirect", "RedirectConfig": redirect}],
    )


@breaks("ingress-certificate", profile="small")
def use_a_certificate_of_ones_own(cloud: Cloud) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tally.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    imported = cloud.acm.import_certificate(
        Certificate=certificate.public_bytes(serialization.Encoding.PEM),
        PrivateKey=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    cloud.elbv2.modify_listener(
        ListenerArn=cloud.listener(443),
        Certificates=[{"CertificateArn": imported["CertificateArn"]}],
    )


@breaks("ingress-origin")
def lead_cloudfront_elsewhere(cloud: Cloud) -> None:
    other = cloud.balancer().replace("load-balancer", "other")
    endpoint = {"Name": "other", "Arn": other, "HTTPPort": 80, "HTTPSPort": 443}
    made = cloud.cloudfront.create_vpc_origin(
        VpcOriginEndpointConfig={**endpoint, "OriginProtocolPolicy": "http-only"}
    )

    def change(config: dict[str, Any]) -> None:
        config["Origins"]["Items"][0]["VpcOriginConfig"]["VpcOriginId"] = made["VpcOrigin"]["Id"]

    cloud.change_distribution(change)


@breaks("ingress-nothing-else")
def serve_whatever_is_asked(cloud: Cloud) -> None:
    cloud.elbv2.modify_listener(
        ListenerArn=cloud.listener(80),
        DefaultActions=[{"Type": "forward", "TargetGroupArn": cloud.targets("display")}],
    )


@breaks("ingress-invalid-headers")
def keep_invalid_headers(cloud: Cloud) -> None:
    cloud.set_balancer("routing.http.drop_invalid_header_fields.enabled", "false")


@breaks("ingress-desync")
def only_monitor_desync(cloud: Cloud) -> None:
    cloud.set_balancer("routing.http.desync_mitigation_mode", "monitor")


@breaks("ingress-access-logs")
def stop_access_logs(cloud: Cloud) -> None:
    cloud.set_balancer("access_logs.s3.enabled", "false")


@breaks("ingress-deletion-protection")
def unprotect_the_load_balancer(cloud: Cloud) -> None:
    cloud.set_balancer("deletion_protection.enabled", "false")


@breaks("ingress-zones", "ingress-origin")
def stand_in_one_zone(cloud: Cloud) -> None:
    """Replaced by one that differs in that alone: a load balancer that stands can't be moved so.

    CloudFront still leads to the one that is gone.
    """
    elb, arn = cloud.elbv2, cloud.balancer()
    (old,) = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    (tags,) = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    rules = {
        listener["ListenerArn"]: elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
        for listener in listeners
    }
    cloud.set_balancer("deletion_protection.enabled", "false")
    elb.delete_load_balancer(LoadBalancerArn=arn)
    made = elb.create_load_balancer(
        Name=old["LoadBalancerName"],
        Subnets=[cloud.subnets("private")[0]],
        SecurityGroups=old["SecurityGroups"],
        Scheme=old["Scheme"],
        Tags=tags["Tags"],
    )["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    for listener in listeners:
        again = elb.create_listener(
            LoadBalancerArn=arn,
            Port=listener["Port"],
            Protocol=listener["Protocol"],
            DefaultActions=listener["DefaultActions"],
        )["Listeners"][0]
        for rule in rules[listener["ListenerArn"]]:
            if not rule["IsDefault"]:
                elb.create_rule(
                    ListenerArn=again["ListenerArn"],
                    Priority=int(rule["Priority"]),
                    # Values stand twice in an answer.
                    Conditions=[
                        {key: value for key, value in condition.items() if key != "Values"}
                        for condition in rule["Conditions"]
                    ],
                    Actions=rule["Actions"],
                )


@breaks("ingress-streams")
def cut_event_streams(cloud: Cloud) -> None:
    cloud.set_balancer("idle_timeout.timeout_seconds", "10")


@breaks("ingress-streams")
def refuse_posts(cloud: Cloud) -> None:
    def change(config: dict[str, Any]) -> None:
        methods = config["DefaultCacheBehavior"]["AllowedMethods"]
        methods |= {"Quantity": 2, "Items": ["GET", "HEAD"]}

    cloud.change_distribution(change)


@breaks("ingress-health")
def ask_health_elsewhere(cloud: Cloud) -> None:
    cloud.elbv2.modify_target_group(TargetGroupArn=cloud.targets("reset"), HealthCheckPath="/")


# Firewall


@breaks("firewall", "firewall-managed-rules", "firewall-rate")
def take_the_firewall_from_cloudfront(cloud: Cloud) -> None:
    cloud.change_distribution(lambda config: config.update(WebACLId=""))


@breaks("firewall", "firewall-managed-rules", "firewall-rate", profile="small")
def take_the_firewall_from_the_load_balancer(cloud: Cloud) -> None:
    cloud.wafv2.disassociate_web_acl(ResourceArn=cloud.balancer())


@breaks("firewall-managed-rules")
def only_count_attacks(cloud: Cloud) -> None:
    def change(rules: list[dict[str, Any]]) -> None:
        for rule in rules:
            if rule["Name"] == "AWSManagedRulesCommonRuleSet":
                rule["OverrideAction"] = {"Count": {}}

    cloud.change_firewall(change)


@breaks("firewall-rate")
def only_count_floods(cloud: Cloud) -> None:
    def change(rules: list[dict[str, Any]]) -> None:
        for rule in rules:
            if "RateBasedStatement" in rule["Statement"]:
                rule["Action"] = {"Count": {}}

    cloud.change_firewall(change)


# Machines


@breaks("machines-zones")
def keep_machines_in_one_zone(cloud: Cloud) -> None:
    cloud.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=f"{cloud.name}-adder", VPCZoneIdentifier=cloud.subnets("private")[0]
    )


@breaks("machines-two")
def have_a_single_machine(cloud: Cloud) -> None:
    cloud.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=f"{cloud.name}-adder", MinSize=1
    )


@breaks("machines-health")
def trust_machines_that_are_unwell(cloud: Cloud) -> None:
    cloud.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=f"{cloud.name}-adder", HealthCheckType="EC2"
    )


@breaks("machines-metadata")
def answer_old_metadata_requests(cloud: Cloud) -> None:
    cloud.change_template(lambda data: data["MetadataOptions"].update(HttpTokens="optional"))


@breaks("machines-metadata")
def answer_old_metadata_requests_on_the_bastion(cloud: Cloud) -> None:
    cloud.ec2.modify_instance_metadata_options(
        InstanceId=cloud.bastion()["InstanceId"], HttpTokens="optional"
    )


@breaks("machines-disks")
def leave_disks_plain(cloud: Cloud) -> None:
    cloud.change_template(
        lambda data: data["BlockDeviceMappings"][0]["Ebs"].update(Encrypted=False)
    )


@breaks("machines-private")
def give_machines_public_addresses(cloud: Cloud) -> None:
    cloud.change_template(
        lambda data: data["NetworkInterfaces"][0].update(AssociatePublicIpAddress=True)
    )


@breaks("machines-user-data")
def put_a_password_into_user_data(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: f"{text}\n# PGPASSWORD=correcthorse\n")


@breaks("machines-user-data")
def let_the_adder_write_to_the_system(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: text.replace("ProtectSystem=strict", "ProtectSystem=full"))


@breaks("machines-user-data")
def run_the_adder_as_root(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: text.replace("      User=tally-adder\n", ""))


@breaks("machines-user-data")
def let_the_adder_ask_for_the_machines_role(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: text.replace("IPAddressDeny=", "# IPAddressDeny="))


@breaks("machines-user-data")
def give_the_adder_a_capability(cloud: Cloud) -> None:
    cloud.change_user_data(
        lambda text: text.replace("CapabilityBoundingSet=", "CapabilityBoundingSet=CAP_SYS_ADMIN")
    )


@breaks("machines-user-data")
def only_deny_the_adder_some_calls(cloud: Cloud) -> None:
    cloud.change_user_data(
        lambda text: text.replace("SystemCallFilter=@system-service", "SystemCallFilter=~@mount")
    )


@breaks("machines-user-data")
def lose_the_adders_unit(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: text.replace("/tally-adder.service\n", "/other.service\n"))


@breaks("machines-tls")
def trust_any_database(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: text.replace("sslmode=verify-full", "sslmode=require"))


@breaks("machines-role")
def let_machines_read_other_secrets(cloud: Cloud) -> None:
    cloud.allow(
        "adder",
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{cloud.name}/reset-AbCdEf",
    )


@breaks("machines-role")
def let_machines_read_the_state(cloud: Cloud) -> None:
    cloud.allow("adder", "s3:GetObject", f"arn:aws:s3:::{cloud.name}-state-123456789012/*")


@breaks("machines-refresh")
def release_without_rollback(cloud: Cloud) -> None:
    cloud.refresh(AutoRollback=False)


@breaks("machines-refresh")
def release_with_fewer_machines(cloud: Cloud) -> None:
    cloud.refresh(MinHealthyPercentage=50)


@breaks("machines-refresh")
def release_with_nothing_to_go_back_from(cloud: Cloud) -> None:
    # Not rolled back by itself either: AWS refuses that without a desired configuration.
    cloud.autoscaling.start_instance_refresh(
        AutoScalingGroupName=f"{cloud.name}-adder",
        Preferences={
            "MinHealthyPercentage": 100,
            "AlarmSpecification": {"Alarms": [f"{cloud.name}-adder-errors"]},
        },
    )


@breaks("machines-refresh")
def release_with_errors(cloud: Cloud) -> None:
    alarm = f"{cloud.name}-adder-errors"
    cloud.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="errors")
    cloud.refresh()


# What serves


@breaks("serving-machines")
def tell_the_group_of_a_version_that_no_machine_has(cloud: Cloud) -> None:
    cloud.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=f"{cloud.name}-adder",
        LaunchTemplate={
            "LaunchTemplateName": f"{cloud.name}-adder",
            "Version": cloud.new_template(lambda data: None),
        },
    )


@breaks("serving-machines")
def have_a_machine_unwell(cloud: Cloud) -> None:
    machine = cloud.group_of_machines()["Instances"][0]
    cloud.autoscaling.set_instance_health(
        InstanceId=machine["InstanceId"], HealthStatus="Unhealthy"
    )


@breaks("serving-tasks")
def leave_a_deployment_unfinished(cloud: Cloud) -> None:
    # Neither may a task start beside the others, nor one of those end before.
    cloud.change_task(lambda containers: None, deployment={"maximumPercent": 100})


@breaks("serving-targets")
def take_a_service_from_the_load_balancer(cloud: Cloud) -> None:
    group = cloud.targets("reset")
    health = cloud.elbv2.describe_target_health(TargetGroupArn=group)
    cloud.elbv2.deregister_targets(
        TargetGroupArn=group, Targets=[it["Target"] for it in health["TargetHealthDescriptions"]]
    )


@breaks("serving-tasks", "serving-targets", "containers-two")
def run_a_single_task(cloud: Cloud) -> None:
    cloud.ecs.update_service(**cloud.service("reset"), desiredCount=1)


@breaks("serving-targets")
def keep_a_target_that_does_not_serve(cloud: Cloud) -> None:
    # Beside as many as there have to be.
    cloud.autoscaling.set_desired_capacity(
        AutoScalingGroupName=f"{cloud.name}-adder", DesiredCapacity=3
    )
    machine = cloud.group_of_machines()["Instances"][0]
    cloud.ec2.stop_instances(InstanceIds=[machine["InstanceId"]])


@breaks("serving-release")
def run_another_release_of_one_service(cloud: Cloud) -> None:
    tags = [{"key": it["Key"], "value": it["Value"]} for it in cloud.tags]
    cloud.change_task(lambda containers: None, tags=[*tags, {"key": "Release", "value": "2" * 40}])


# Containers


@breaks("containers-run")
def keep_tasks_in_one_zone(cloud: Cloud) -> None:
    cloud.place("display", subnets=cloud.subnets("private")[:1])


@breaks("containers-two")
def allow_a_single_task(cloud: Cloud) -> None:
    cloud.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=f"service/{cloud.name}-containers/{cloud.name}-display",
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=1,
    )


@breaks("containers-private")
def give_tasks_public_addresses(cloud: Cloud) -> None:
    cloud.place("reset", assignPublicIp="ENABLED")


@breaks("containers-digest")
def run_whatever_is_latest(cloud: Cloud) -> None:
    def change(containers: dict[str, dict[str, Any]]) -> None:
        image = containers["display"]["image"]
        containers["display"]["image"] = f"{image.partition('@')[0]}:latest"

    cloud.change_task(change)


@breaks("containers-not-root")
def run_as_root(cloud: Cloud) -> None:
    cloud.change_task(lambda containers: containers["display"].update(user="0:0"))


@breaks("containers-read-only")
def let_the_schema_step_write(cloud: Cloud) -> None:
    cloud.change_task(lambda it: it["schema"].update(readonlyRootFilesystem=False))


@breaks("containers-unprivileged")
def run_with_privileges(cloud: Cloud) -> None:
    cloud.change_task(lambda containers: containers["display"].update(privileged=True))


@breaks("containers-capabilities")
def add_a_capability(cloud: Cloud) -> None:
    def change(containers: dict[str, dict[str, Any]]) -> None:
        containers["display"]["linuxParameters"]["capabilities"]["add"] = ["SYS_PTRACE"]

    cloud.change_task(change)


@breaks("containers-processes")
def share_the_hosts_processes(cloud: Cloud) -> None:
    # Fargate itself refuses this; on machines of one's own it would do harm.
    cloud.change_task(lambda containers: None, pidMode="host", requiresCompatibilities=["EC2"])


@breaks("containers-secrets")
def put_a_secret_into_the_environment(cloud: Cloud) -> None:
    secret = {"name": "TALLY_RESET_TOKEN", "value": "correct-horse"}
    cloud.change_task(lambda containers: containers["display"]["environment"].append(secret))


@breaks("containers-own-secret")
def serve_as_the_owner(cloud: Cloud) -> None:
    def change(containers: dict[str, dict[str, Any]]) -> None:
        (owner,) = (it for it in containers["schema"]["secrets"] if it["name"] == "PGPASSWORD")
        containers["display"]["secrets"] = [owner]

    cloud.change_task(change)


@breaks("containers-tls")
def trust_any_database_from_containers(cloud: Cloud) -> None:
    def change(containers: dict[str, dict[str, Any]]) -> None:
        for setting in containers["display"]["environment"]:
            setting["value"] = setting["value"].replace("verify-full", "require")

    cloud.change_task(change)


@breaks("containers-schema")
def serve_before_the_schema_is_there(cloud: Cloud) -> None:
    cloud.change_task(lambda containers: containers["display"].pop("dependsOn"))


@breaks("containers-health")
def ask_no_container_for_its_health(cloud: Cloud) -> None:
    cloud.change_task(lambda containers: containers["display"].pop("healthCheck"))


@breaks("containers-rollback")
def keep_failed_deployments(cloud: Cloud) -> None:
    cloud.ecs.update_service(
        **cloud.service("display"),
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": False},
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
        },
    )


@breaks("containers-drain")
def cut_requests_off(cloud: Cloud) -> None:
    cloud.elbv2.modify_target_group_attributes(
        TargetGroupArn=cloud.targets("display"),
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    )


@breaks("containers-logs")
def log_elsewhere(cloud: Cloud) -> None:
    cloud.change_task(
        lambda it: it["display"]["logConfiguration"]["options"].update({"awslogs-group": "/other"})
    )


@breaks("containers-insights")
def switch_insights_off(cloud: Cloud) -> None:
    cloud.ecs.update_cluster(
        cluster=f"{cloud.name}-containers",
        settings=[{"name": "containerInsights", "value": "disabled"}],
    )


@breaks("containers-scaling")
def stop_scaling(cloud: Cloud) -> None:
    cloud.client("application-autoscaling").delete_scaling_policy(
        PolicyName=f"{cloud.name}-display-requests",
        ServiceNamespace="ecs",
        ResourceId=f"service/{cloud.name}-containers/{cloud.name}-display",
        ScalableDimension="ecs:service:DesiredCount",
    )


# Images


@breaks("images-scanned")
def stop_scanning(cloud: Cloud) -> None:
    cloud.ecr.put_image_scanning_configuration(
        repositoryName=f"{cloud.name}/display", imageScanningConfiguration={"scanOnPush": False}
    )


@breaks("images-immutable")
def let_tags_move(cloud: Cloud) -> None:
    cloud.ecr.put_image_tag_mutability(
        repositoryName=f"{cloud.name}/reset", imageTagMutability="MUTABLE"
    )


@breaks("images-lifecycle")
def keep_every_image(cloud: Cloud) -> None:
    cloud.ecr.delete_lifecycle_policy(repositoryName=f"{cloud.name}/display")


# Database


@breaks("database-private")
def publish_the_database(cloud: Cloud) -> None:
    cloud.change_database(PubliclyAccessible=True)


@breaks("database-encrypted", "containers-own-secret")
def store_in_plain(cloud: Cloud) -> None:
    cloud.replace_database(StorageEncrypted=False)


@breaks("database-zones")
def stand_alone(cloud: Cloud) -> None:
    cloud.change_database(MultiAZ=False)


@breaks("database-deletion-protection")
def unprotect_the_database(cloud: Cloud) -> None:
    cloud.change_database(DeletionProtection=False)


@breaks("database-logs")
def keep_the_logs_in(cloud: Cloud) -> None:
    cloud.change_database(CloudwatchLogsExportConfiguration={"DisableLogTypes": ["upgrade"]})


@breaks("database-iam")
def switch_iam_off(cloud: Cloud) -> None:
    cloud.change_database(EnableIAMDatabaseAuthentication=False)


@breaks("database-backups")
def keep_backups_for_a_day(cloud: Cloud) -> None:
    cloud.change_database(BackupRetentionPeriod=1)


@breaks("database-minor-upgrades")
def stay_at_a_minor_version(cloud: Cloud) -> None:
    cloud.change_database(AutoMinorVersionUpgrade=False)


@breaks("database-snapshot-tags")
def forget_tags_in_snapshots(cloud: Cloud) -> None:
    cloud.change_database(CopyTagsToSnapshot=False)


@breaks("database-owner-name", "containers-own-secret")
def call_the_owner_postgres(cloud: Cloud) -> None:
    cloud.replace_database(MasterUsername="postgres")


@breaks("database-owner-secret", "containers-own-secret")
def keep_the_owners_password_oneself(cloud: Cloud) -> None:
    cloud.change_database(ManageMasterUserPassword=False, MasterUserPassword="correct-horse")


@breaks("database-tls")
def accept_plain_connections(cloud: Cloud) -> None:
    (database,) = cloud.rds.describe_db_instances(DBInstanceIdentifier=f"{cloud.name}-database")[
        "DBInstances"
    ]
    cloud.rds.modify_db_parameter_group(
        DBParameterGroupName=database["DBParameterGroups"][0]["DBParameterGroupName"],
        Parameters=[
            {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
        ],
    )


@breaks("database-authority")
def use_an_old_authority(cloud: Cloud) -> None:
    cloud.change_database(CACertificateIdentifier="rds-ca-2019")


@breaks("database-secrets")
def lose_a_secret(cloud: Cloud) -> None:
    cloud.secretsmanager.delete_secret(
        SecretId=f"{cloud.name}/operator", ForceDeleteWithoutRecovery=True
    )


@meets("database-secrets-rotate")
def rotate_every_secret(cloud: Cloud) -> None:
    for role in (*SERVICES, "operator"):
        cloud.rotate(role)


# Bastion


@breaks("bastion")
def let_the_bastion_grow(cloud: Cloud) -> None:
    cloud.replace_bastion(lambda machine: machine.update(InstanceType="m7g.4xlarge"))


@breaks("bastion-ssh")
def open_ssh_to_a_large_network(cloud: Cloud) -> None:
    cloud.let_in("bastion", {"CidrIp": "203.0.0.0/8"}, 22)


@breaks("bastion-key")
def start_the_bastion_without_a_key(cloud: Cloud) -> None:
    cloud.replace_bastion(lambda machine: machine.update(KeyName=None))


@breaks("bastion-user-data")
def put_a_password_into_the_bastions_user_data(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("\npackages:", "\n# PGPASSWORD=correcthorse\npackages:")


@breaks("bastion-locked")
def forward_agents(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("AllowAgentForwarding no", "AllowAgentForwarding yes")


@breaks("bastion-locked")
def forward_sockets(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("AllowStreamLocalForwarding no", "AllowStreamLocalForwarding yes")


@breaks("bastion-locked")
def ask_for_a_password_first(cloud: Cloud) -> None:
    cloud.start_the_bastion_with(
        "PasswordAuthentication no\n",
        "PasswordAuthentication yes\n      PasswordAuthentication no\n",
    )


@breaks("bastion-locked")
def leave_sshd_its_own_settings(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("sed -i '1i Include", "sed -i '$a Include")


@breaks("bastion-session-logs")
def record_no_sessions(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("ForceCommand", "# ForceCommand")


@breaks("bastion-session-logs")
def send_one_session_of_several(cloud: Cloud) -> None:
    cloud.start_the_bastion_with('"publish_multi_logs": true', '"publish_multi_logs": false')


@breaks("bastion-session-logs")
def leave_logins_in_the_journal(cloud: Cloud) -> None:
    cloud.start_the_bastion_with("  - rsyslog\n", "")


@breaks("bastion-session-document")
def keep_no_session_of_session_manager(cloud: Cloud) -> None:
    cloud.change_session(cloudWatchLogGroupName="")


@breaks("bastion-session-document")
def keep_sessions_in_plain(cloud: Cloud) -> None:
    cloud.change_session(cloudWatchEncryptionEnabled=False)


@breaks("bastion-session-document")
def keep_sessions_only_once_they_end(cloud: Cloud) -> None:
    cloud.change_session(cloudWatchStreamingEnabled=False)


@breaks("bastion-session-document")
def leave_idle_sessions_open(cloud: Cloud) -> None:
    cloud.change_session(idleSessionTimeout="")


@breaks("bastion-session-document")
def lose_the_session_document(cloud: Cloud) -> None:
    cloud.ssm.delete_document(Name=f"{cloud.name}-session")


@breaks("bastion-session-manager")
def close_session_manager(cloud: Cloud) -> None:
    cloud.iam.delete_role_policy(
        RoleName=f"{cloud.name}-bastion", PolicyName=f"{cloud.name}-bastion"
    )


# Logs and alarms


@breaks("logs-groups")
def lose_a_log_group(cloud: Cloud) -> None:
    cloud.logs.delete_log_group(logGroupName=f"/{cloud.name}/bastion")


@breaks("logs-kept")
def keep_logs_for_ever(cloud: Cloud) -> None:
    cloud.logs.delete_retention_policy(logGroupName=f"/{cloud.name}/display")


@breaks("logs-encrypted")
def write_logs_in_plain(cloud: Cloud) -> None:
    name = f"/{cloud.name}/reset"
    (group,) = cloud.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    tags = cloud.logs.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
    cloud.logs.delete_log_group(logGroupName=name)
    cloud.logs.create_log_group(logGroupName=name, tags=tags)
    cloud.logs.put_retention_policy(logGroupName=name, retentionInDays=365)


@breaks("logs-agent")
def send_the_adders_log_nowhere(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: text.replace(f"/{cloud.name}/adder", "/other"))


@breaks("logs-alarms")
def lose_an_alarm(cloud: Cloud) -> None:
    cloud.cloudwatch.delete_alarms(AlarmNames=[f"{cloud.name}-database-storage"])


@breaks("logs-alarms-told")
def tell_nobody(cloud: Cloud) -> None:
    cloud.cloudwatch.disable_alarm_actions(AlarmNames=[f"{cloud.name}-display-latency"])


@breaks("logs-alarms-told", "cost-budget")
def let_nobody_listen(cloud: Cloud) -> None:
    for subscription in cloud.sns.list_subscriptions()["Subscriptions"]:
        cloud.sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


@breaks("logs-dashboard")
def lose_the_dashboard(cloud: Cloud) -> None:
    found = cloud.cloudwatch.list_dashboards()["DashboardEntries"]
    cloud.cloudwatch.delete_dashboards(DashboardNames=[it["DashboardName"] for it in found])


# Denied traffic


@breaks("denied-logged")
def log_what_was_let_through(cloud: Cloud) -> None:
    (log,) = cloud.ec2.describe_flow_logs()["FlowLogs"]
    cloud.ec2.delete_flow_logs(FlowLogIds=[log["FlowLogId"]])
    cloud.ec2.create_flow_logs(
        ResourceIds=[cloud.vpc()],
        ResourceType="VPC",
        TrafficType="ACCEPT",
        LogDestinationType="s3",
        LogDestination=log["LogDestination"],
        TagSpecifications=cloud.tagged("vpc-flow-log"),
    )


@breaks("denied-versioned")
def forget_versions_of_denied_traffic(cloud: Cloud) -> None:
    cloud.s3.put_bucket_versioning(
        Bucket=cloud.bucket("denied-traffic"), VersioningConfiguration={"Status": "Suspended"}
    )


# Storage


@breaks("storage-buckets")
def lose_a_bucket(cloud: Cloud) -> None:
    cloud.s3.delete_bucket(Bucket=cloud.bucket("releases"))


@breaks("storage-tls")
def let_plain_http_in(cloud: Cloud) -> None:
    cloud.s3.delete_bucket_policy(Bucket=cloud.bucket("access-logs"))


@breaks("storage-private")
def make_a_bucket_public(cloud: Cloud) -> None:
    cloud.s3.delete_public_access_block(Bucket=cloud.bucket("denied-traffic"))


@breaks("storage-owner")
def let_others_own_objects(cloud: Cloud) -> None:
    cloud.s3.put_bucket_ownership_controls(
        Bucket=cloud.bucket("releases"),
        OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]},
    )


@breaks("storage-lifecycle")
def keep_objects_for_ever(cloud: Cloud) -> None:
    cloud.s3.delete_bucket_lifecycle(Bucket=cloud.bucket("access-logs"))


@breaks("storage-encrypted")
def store_objects_in_plain(cloud: Cloud) -> None:
    cloud.s3.delete_bucket_encryption(Bucket=cloud.bucket("denied-traffic"))


@breaks("storage-state")
def forget_versions_of_the_state(cloud: Cloud) -> None:
    cloud.s3.put_bucket_versioning(
        Bucket=cloud.bucket("state"), VersioningConfiguration={"Status": "Suspended"}
    )


# Access


@breaks("access-no-administrator")
def allow_everything(cloud: Cloud) -> None:
    cloud.allow("display-task", "*", "*")


@breaks("access-no-wildcard")
def allow_a_whole_service(cloud: Cloud) -> None:
    cloud.allow("display-task", "s3:*", f"arn:aws:s3:::{cloud.name}-other/*")


@breaks("access-no-keys")
def make_a_user(cloud: Cloud) -> None:
    cloud.iam.create_user(UserName=f"{cloud.name}-robot")


@breaks("access-ci")
def let_any_branch_apply(cloud: Cloud) -> None:
    role = cloud.iam.get_role(RoleName=f"{cloud.name}-ci-apply")["Role"]
    trust = role["AssumeRolePolicyDocument"]
    asked = trust["Statement"][0]["Condition"]["StringEquals"]
    asked["token.actions.githubusercontent.com:sub"] = "repo:example/tally:ref:refs/heads/main"
    cloud.iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trust))


@breaks("access-ci")
def let_a_pull_request_plan(cloud: Cloud) -> None:
    role = cloud.iam.get_role(RoleName=f"{cloud.name}-ci-plan")["Role"]
    trust = role["AssumeRolePolicyDocument"]
    asked = trust["Statement"][0]["Condition"]["StringEquals"]
    asked["token.actions.githubusercontent.com:sub"] = "repo:example/tally:pull_request"
    cloud.iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trust))


@breaks("access-ci-plan")
def let_a_plan_start_machines(cloud: Cloud) -> None:
    cloud.allow("ci-plan", "ec2:RunInstances", "arn:aws:ec2:us-east-1:123456789012:instance/*")


@breaks("access-boundary")
def free_a_role_of_its_boundary(cloud: Cloud) -> None:
    cloud.iam.delete_role_permissions_boundary(RoleName=f"{cloud.name}-adder")


@breaks("access-boundary", profile="small")
def bound_a_role_by_another_policy(cloud: Cloud) -> None:
    account = cloud.sts.get_caller_identity()["Account"]
    cloud.iam.put_role_permissions_boundary(
        RoleName=f"{cloud.name}-display-task",
        PermissionsBoundary=f"arn:aws:iam::{account}:policy/{cloud.name}-ci-change-compute",
    )


@breaks("access-boundary")
def let_the_boundary_make_roles(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        statements.append({"Effect": "Allow", "Action": "iam:CreateRole", "Resource": "*"})

    cloud.change_policy("boundary", change)


@breaks("access-boundary")
def let_an_apply_make_any_role(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        for statement in statements:
            statement.get("Condition", {}).get("StringEquals", {}).pop(
                "iam:PermissionsBoundary", None
            )

    cloud.change_policy("ci-change-identity", change)


@breaks("access-boundary")
def let_an_apply_hand_over_any_role(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        for statement in statements:
            if statement["Action"] == "iam:PassRole":
                statement["Resource"] = "*"

    cloud.change_policy("ci-change-identity", change)


@breaks("access-boundary")
def let_an_apply_make_users(cloud: Cloud) -> None:
    cloud.allow("ci-apply", "iam:CreateUser", "*")


@breaks("access-boundary")
def let_an_apply_change_who_plans(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        statements[:] = [it for it in statements if it.get("Sid") != "OwnRoles"]

    cloud.change_policy("ci-change-identity", change)


# Cost


@breaks("cost-budget")
def warn_nobody(cloud: Cloud) -> None:
    account = cloud.sts.get_caller_identity()["Account"]
    named = {"AccountId": account, "BudgetName": f"{cloud.name}-monthly"}
    found = cloud.budgets.describe_notifications_for_budget(**named)["Notifications"]
    for notification in found:
        cloud.budgets.delete_notification(**named, Notification=notification)


@breaks("cost-budget")
def warn_nobody_of_what_is_expected(cloud: Cloud) -> None:
    named, notification, subscriber = cloud.warning("FORECASTED")
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
        named, notification, subscriber = cloud.warning(kind)
        cloud.budgets.delete_subscriber(**named, Notification=notification, Subscriber=subscriber)


@breaks("cost-tags")
def forget_whose_a_machine_is(cloud: Cloud) -> None:
    machine = cloud.group_of_machines()["Instances"][0]
    cloud.ec2.delete_tags(Resources=[machine["InstanceId"]], Tags=[{"Key": "Deployment"}])


@breaks("cost-tags")
def forget_whose_a_disk_is(cloud: Cloud) -> None:
    (disk,) = cloud.bastion()["BlockDeviceMappings"]
    cloud.ec2.delete_tags(Resources=[disk["Ebs"]["VolumeId"]], Tags=[{"Key": "Project"}])


@breaks("cost-tags")
def forget_whose_a_role_is(cloud: Cloud) -> None:
    cloud.iam.untag_role(RoleName=f"{cloud.name}-reset-task", TagKeys=["Profile"])


@breaks("cost-tags")
def forget_whose_a_topic_is(cloud: Cloud) -> None:
    for topic in cloud.sns.list_topics()["Topics"]:
        cloud.sns.untag_resource(ResourceArn=topic["TopicArn"], TagKeys=["Deployment"])


@breaks("cost-tags")
def forget_whose_a_repository_is(cloud: Cloud) -> None:
    name = f"{cloud.name}/display"
    (found,) = cloud.ecr.describe_repositories(repositoryNames=[name])["repositories"]
    cloud.ecr.untag_resource(resourceArn=found["repositoryArn"], tagKeys=["ManagedBy"])


@breaks("cost-tags")
def forget_whose_a_subnet_is(cloud: Cloud) -> None:
    cloud.ec2.delete_tags(Resources=[cloud.subnets("private")[0]], Tags=[{"Key": "ManagedBy"}])
