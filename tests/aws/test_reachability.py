"""Who can open what: groups on both sides, routes and addresses have to agree.

On a small network in an emulator, and not on the deployment: here each condition is tried alone.
"""

from dataclasses import dataclass, field

import boto3
import pytest
from moto import mock_aws

from tally.aws.inventory import Inventory
from tally.aws.reachability import CLOUDFRONT, INTERNET, S3, Party, flows

ANYONE = "0.0.0.0/0"


@dataclass
class Network:
    """A network with one public and one private subnet, and parties that are added to it."""

    ec2: object
    vpc: str
    public: str
    private: str
    parties: list[Party] = field(default_factory=list)

    def add(self, name, subnet, *, public=False):
        group = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)[
            "GroupId"
        ]
        # A new group lets everything out.
        self.ec2.revoke_security_group_egress(
            GroupId=group,
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYONE}]}],
        )
        self.parties.append(Party(name, frozenset([group]), frozenset([subnet]), public))
        return group

    def let_in(self, group, port, peer):
        self.ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[self._permission(port, peer)]
        )

    def let_out(self, group, port, peer):
        self.ec2.authorize_security_group_egress(
            GroupId=group, IpPermissions=[self._permission(port, peer)]
        )

    @staticmethod
    def _permission(port, peer):
        kind = {"sg-": ("UserIdGroupPairs", "GroupId"), "pl-": ("PrefixListIds", "PrefixListId")}
        peers, key = kind.get(peer[:3], ("IpRanges", "CidrIp"))
        return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, peers: [{key: peer}]}

    def flows(self, vpc_origins=()):
        aws = Inventory("tally")
        # CloudFront's origins are given; the rest is asked for.
        aws.cloudfront.__dict__["vpc_origins"] = list(vpc_origins)
        return set(flows(aws, self.parties))


@pytest.fixture
def network(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        vpc = ec2.create_vpc(
            CidrBlock="10.0.0.0/16",
            TagSpecifications=[
                {"ResourceType": "vpc", "Tags": [{"Key": "Deployment", "Value": "tally"}]}
            ],
        )["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"]
            for number in (0, 1)
        ]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=ANYONE, GatewayId=gateway)
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnets[0])
        yield Network(ec2, vpc, *subnets)


def test_nothing_is_open_without_rules(network):
    network.add("one", network.public, public=True)
    network.add("two", network.private)
    assert network.flows() == set()


def test_inside_both_groups_have_to_agree(network):
    one, two = network.add("one", network.private), network.add("two", network.private)
    network.let_out(one, 8080, two)
    assert network.flows() == set()
    network.let_in(two, 5432, one)
    assert network.flows() == set()
    network.let_in(two, 8080, one)
    assert network.flows() == {(("one", "two"), "8080")}


def test_a_range_that_covers_somebody_s_subnet_lets_them_in(network):
    one, two = network.add("one", network.private), network.add("two", network.private)
    network.let_out(one, 8080, "10.0.0.0/16")
    network.let_in(two, 8080, "10.0.1.0/25")
    assert (("one", "two"), "8080") in network.flows()


@pytest.mark.parametrize(
    ("subnet", "public", "reached"),
    [("public", True, True), ("public", False, False), ("private", True, False)],
)
def test_from_the_internet_it_takes_a_public_address_and_a_route(network, subnet, public, reached):
    group = network.add("one", getattr(network, subnet), public=public)
    network.let_in(group, 443, ANYONE)
    assert network.flows() == ({((INTERNET, "one"), "443")} if reached else set())


def test_single_addresses_are_not_the_internet(network):
    group = network.add("one", network.public, public=True)
    network.let_in(group, 22, "203.0.113.7/32")
    assert network.flows() == {(("listed addresses", "one"), "22")}


def test_cloudfront_comes_in_through_its_origin_inside(network):
    (found,) = (
        it["PrefixListId"]
        for it in network.ec2.describe_managed_prefix_lists()["PrefixLists"]
        if it["PrefixListName"] == "com.amazonaws.global.cloudfront.origin-facing"
    )
    group = network.add("one", network.private)
    network.let_in(group, 80, found)
    assert network.flows() == set()
    assert network.flows([{"Id": "vo_1"}]) == {((CLOUDFRONT, "one"), "80")}


def nat_gateway(network):
    address = network.ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = network.ec2.create_nat_gateway(SubnetId=network.public, AllocationId=address)
    return {"NatGatewayId": made["NatGateway"]["NatGatewayId"]}


def machine(network):
    made = network.ec2.create_network_interface(SubnetId=network.public)
    return {"NetworkInterfaceId": made["NetworkInterface"]["NetworkInterfaceId"]}


@pytest.mark.parametrize("way", [nat_gateway, machine])
def test_a_way_out_takes_a_rule_and_a_route(network, way):
    group = network.add("one", network.private)
    network.let_out(group, 443, ANYONE)
    assert network.flows() == set()
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    network.ec2.associate_route_table(RouteTableId=table, SubnetId=network.private)
    network.ec2.create_route(RouteTableId=table, DestinationCidrBlock=ANYONE, **way(network))
    assert network.flows() == {(("one", INTERNET), "443")}


def test_s3_is_reached_through_its_endpoint(network):
    group = network.add("one", network.private)
    lists = network.ec2.describe_prefix_lists()["PrefixLists"]
    (found,) = (it["PrefixListId"] for it in lists if it["PrefixListName"].endswith(".s3"))
    network.let_out(group, 443, found)
    assert network.flows() == set()
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    network.ec2.associate_route_table(RouteTableId=table, SubnetId=network.private)
    network.ec2.create_vpc_endpoint(
        VpcId=network.vpc,
        ServiceName="com.amazonaws.us-east-1.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[table],
    )
    assert network.flows() == {(("one", S3), "443")}
