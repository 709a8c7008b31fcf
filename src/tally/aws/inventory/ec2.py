"""EC2: the network, its machines, and what they are made from."""

import base64
import gzip
from collections.abc import Iterable
from functools import cache, cached_property
from typing import Final, cast

import jmespath

from tally.aws.inventory.resources import NotFound, Resource, tags_of, the_one
from tally.aws.inventory.service import Service

# What AWS's services call the groups that they make in a customer's VPC: CloudFront with the first
# VPC origin (CloudFront's developer guide, "Restrict access with VPC origins"), and GuardDuty where
# an account has its runtime monitoring.
_GROUPS_OF_AWS: Final = ("CloudFront-VPCOrigins-Service-SG", "GuardDutyManagedSecurityGroup")


def _in_vpc(operation: str, path: str) -> cached_property[list[Resource]]:
    """A property: what an operation lists in the deployment's VPC."""
    return cached_property(lambda ec2: ec2._filtered(operation, path, "vpc-id", [ec2.vpc["VpcId"]]))


class EC2(Service):
    api = "ec2"
    route_tables = _in_vpc("describe_route_tables", "RouteTables")
    network_acls = _in_vpc("describe_network_acls", "NetworkAcls")
    vpc_endpoints = _in_vpc("describe_vpc_endpoints", "VpcEndpoints")
    network_interfaces = _in_vpc("describe_network_interfaces", "NetworkInterfaces")
    _subnets = _in_vpc("describe_subnets", "Subnets")
    _security_groups = _in_vpc("describe_security_groups", "SecurityGroups")
    instances = _in_vpc(
        "describe_instances",
        "Reservations[].Instances[] | [?!contains(['shutting-down', 'terminated'], State.Name)]",
    )

    @cached_property
    def vpcs(self) -> list[Resource]:
        return self._filtered("describe_vpcs", "Vpcs", "tag:Deployment", [self.aws.name])

    @cached_property
    def vpc(self) -> Resource:
        if len(self.vpcs) != 1:
            found = ", ".join(vpc["VpcId"] for vpc in self.vpcs) or "none"
            raise NotFound(f"one VPC tagged Deployment={self.aws.name} (found: {found})")
        return self.vpcs[0]

    @property
    def networks(self) -> list[str]:
        """The VPC's IPv4 address ranges."""
        blocks = self.vpc.get("CidrBlockAssociationSet") or [self.vpc]
        return [block["CidrBlock"] for block in blocks]

    @cached_property
    def subnets(self) -> dict[str, Resource]:
        return {it["SubnetId"]: it for it in self._subnets}

    def zones(self, subnets: Iterable[str]) -> list[str]:
        found = [self.subnets[it] for it in subnets if it in self.subnets]
        return sorted({it["AvailabilityZone"] for it in found})

    def routes(self, subnet: str) -> list[Resource]:
        """The active routes of a subnet: of its own route table, or else of the VPC's main one."""

        def associated(key: str, value: object) -> list[Resource]:
            tables = self.route_tables
            return [it for it in tables if any(a.get(key) == value for a in it["Associations"])]

        tables = associated("SubnetId", subnet) or associated("Main", True)
        found = [route for table in tables for route in table["Routes"]]
        return [route for route in found if route.get("State", "active") == "active"]

    def internet_gateways(self, subnet: str) -> list[str]:
        found = (str(route.get("GatewayId", "")) for route in self.routes(subnet))
        return [gateway for gateway in found if gateway.startswith("igw-")]

    @cached_property
    def security_groups(self) -> dict[str, Resource]:
        return {it["GroupId"]: it for it in self._security_groups}

    @property
    def own_security_groups(self) -> list[Resource]:
        """The security groups that AWS did not make by itself in the VPC."""
        return [
            it for it in self._security_groups if not it["GroupName"].startswith(_GROUPS_OF_AWS)
        ]

    @cached_property
    def nat_gateways(self) -> list[Resource]:
        path = "NatGateways[?!contains(['deleting', 'deleted', 'failed'], State)]"
        filters = [{"Name": "vpc-id", "Values": [self.vpc["VpcId"]]}]
        return self.all("describe_nat_gateways", path, Filter=filters)

    @cached_property
    def vpc_peerings(self) -> list[Resource]:
        gone = "['deleted', 'rejected', 'expired', 'failed', 'deleting']"
        path = f"VpcPeeringConnections[?!contains({gone}, Status.Code)]"
        found = [
            it
            for side in ("requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id")
            for it in self._filtered(
                "describe_vpc_peering_connections", path, side, [self.vpc["VpcId"]]
            )
        ]
        return list({it["VpcPeeringConnectionId"]: it for it in found}.values())

    @cached_property
    def flow_logs(self) -> list[Resource]:
        filters = [{"Name": "resource-id", "Values": [self.vpc["VpcId"]]}]
        return self.all("describe_flow_logs", "FlowLogs", Filter=filters)

    @cached_property
    def prefix_lists(self) -> dict[str, str]:
        """Names of address lists by id, AWS's own included."""
        found = self.all("describe_managed_prefix_lists", "PrefixLists")
        return {it["PrefixListId"]: it["PrefixListName"] for it in found}

    @cached_property
    def bastions(self) -> list[Resource]:
        return [
            it for it in self.instances if tags_of(it).get("Name") == f"{self.aws.name}-bastion"
        ]

    @property
    def bastion_cards(self) -> list[str]:
        """The bastion's network interfaces, to which routes may lead."""
        cards = [card for it in self.bastions for card in it["NetworkInterfaces"]]
        return [card["NetworkInterfaceId"] for card in cards]

    @cached_property
    def volumes(self) -> list[Resource]:
        ids = [it["InstanceId"] for it in self.instances]
        if not ids:
            return []
        return self._filtered("describe_volumes", "Volumes", "attachment.instance-id", ids)

    @cache  # noqa: B019 - an account lives as long as the command
    def user_data(self, instance: str) -> str:
        answer = self.client.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        return user_data_text(answer["UserData"].get("Value", ""))

    @cached_property
    def _given_template(self) -> Resource:
        """The launch template, by id, and its version, as the adder's group names them."""
        group = self.aws.autoscaling.adder_group
        mixed = "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification"
        given = jmespath.search(f"LaunchTemplate || {mixed}", group)
        if not given:
            raise NotFound(f"launch template of {group['AutoScalingGroupName']}")
        return cast("Resource", given)

    @cached_property
    def adder_launch_template(self) -> Resource:
        """The adder's launch template itself, of whatever version."""
        wanted = self._given_template["LaunchTemplateId"]
        found = self.all("describe_launch_templates", "LaunchTemplates", LaunchTemplateIds=[wanted])
        return the_one(found, f"launch template {wanted}")

    @cached_property
    def adder_template(self) -> Resource:
        """The version of the launch template that the adder's next machine is made from."""
        given = self._given_template
        versions = self.all(
            "describe_launch_template_versions",
            "LaunchTemplateVersions",
            LaunchTemplateId=given["LaunchTemplateId"],
            Versions=[given.get("Version") or "$Default"],
        )
        template = dict(the_one(versions, f"version of {given['LaunchTemplateId']}"))
        template["UserData"] = user_data_text(template["LaunchTemplateData"].get("UserData", ""))
        return template

    def _filtered(self, operation: str, path: str, name: str, values: list[str]) -> list[Resource]:
        return self.all(operation, path, Filters=[{"Name": name, "Values": values}])


def user_data_text(encoded: str) -> str:
    """Decode user data as EC2 keeps it: base64, perhaps of gzip."""
    data = base64.b64decode(encoded)
    # cloud-init unpacks what is gzipped.
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
