"""What breaks the network."""

import json

from tests.support.mutations.cloud import ANYONE, Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "network-zones",
    # The other tiers' are in use in both zones.
    lose_a_subnet=lambda cloud: cloud.ec2.delete_subnet(SubnetId=cloud.subnets("public")[1]),
)


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


breaks(
    "network-group-a-role",
    share_a_group=lambda cloud: cloud.place(
        "display", securityGroups=[cloud.group("display"), cloud.group("reset")]
    ),
)

breaks(
    "network-internet",
    open_the_load_balancer_to_the_internet=lambda cloud: cloud.let_in(
        "load-balancer", {"CidrIp": ANYONE}, 80
    ),
)

breaks(
    "network-administration",
    "network-internet",
    "network-risky-ports",
    open_remote_desktop=lambda cloud: cloud.let_in("adder", {"CidrIp": ANYONE}, 3389),
    open_ssh_to_ipv6=lambda cloud: cloud.let_in("adder", {"CidrIpv6": "::/0"}, 20, 30),
)

breaks(
    "network-risky-ports",
    "network-internet",
    open_a_dashboard=lambda cloud: cloud.let_in("adder", {"CidrIp": ANYONE}, 5601),
)

breaks(
    "network-lists",
    let_ssh_past_the_network_list=lambda cloud: cloud.ec2.delete_network_acl_entry(
        NetworkAclId=cloud.id_of("network_acls", "NetworkAcls", "NetworkAclId", "public"),
        RuleNumber=200,
        Egress=False,
    ),
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


breaks(
    "network-database-callers",
    let_another_group_into_the_database=lambda cloud: cloud.let_in(
        "database", {"GroupId": cloud.group("endpoints")}, 5432
    ),
)

breaks(
    "network-no-public-address",
    start_a_machine_in_public=lambda cloud: cloud.ec2.run_instances(
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
    ),
)

breaks(
    "network-subnets-assign-none",
    give_out_public_addresses=lambda cloud: cloud.ec2.modify_subnet_attribute(
        SubnetId=cloud.subnets("public")[0], MapPublicIpOnLaunch={"Value": True}
    ),
)


@breaks("network-way-out")
def close_an_endpoint(cloud: Cloud) -> None:
    identifier = cloud.id_of("vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "logs")
    cloud.ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])


def set_registry_policy(cloud: Cloud, **changed: object) -> None:
    """Change the statement by which images are pulled, at the registry's endpoint for manifests."""
    identifier = cloud.id_of("vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "ecr-dkr")
    (endpoint,) = cloud.ec2.describe_vpc_endpoints(VpcEndpointIds=[identifier])["VpcEndpoints"]
    policy = json.loads(endpoint["PolicyDocument"])
    (pulling,) = (it for it in policy["Statement"] if it["Sid"] == "PullImages")
    pulling.update(changed)
    cloud.ec2.modify_vpc_endpoint(VpcEndpointId=identifier, PolicyDocument=json.dumps(policy))


breaks(
    "network-registry",
    # Who pulls through this endpoint is not known to it, so nobody would.
    ask_who_pulls=lambda cloud: set_registry_policy(
        cloud, Condition={"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    ),
    let_images_be_pushed=lambda cloud: set_registry_policy(cloud, Action="ecr:*"),
    reach_repositories_of_others=lambda cloud: set_registry_policy(cloud, Resource="*"),
)

PRIVATE = ("route_tables", "RouteTables", "RouteTableId", "private")


def lead_out(cloud: Cloud, **way: str) -> None:
    """Lead the private subnets to some addresses on the internet."""
    cloud.ec2.create_route(
        RouteTableId=cloud.id_of(*PRIVATE), DestinationCidrBlock="198.51.100.0/24", **way
    )


@breaks("network-tiers", "machines-private", profile="small")
def lead_past_the_bastion(cloud: Cloud) -> None:
    filters = [{"Name": "attachment.vpc-id", "Values": [cloud.vpc()]}]
    (gateway,) = cloud.ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    lead_out(cloud, GatewayId=gateway["InternetGatewayId"])


@breaks("network-tiers")
def lead_by_the_bastion_where_there_are_endpoints(cloud: Cloud) -> None:
    (card,) = cloud.bastion()["NetworkInterfaces"]
    lead_out(cloud, NetworkInterfaceId=card["NetworkInterfaceId"])


breaks(
    "network-way-out",
    # Without it no service reaches the internet, as is declared.
    "reachability-ports",
    profile="small",
    close_the_way_out=lambda cloud: cloud.ec2.delete_route(
        RouteTableId=cloud.id_of(*PRIVATE), DestinationCidrBlock="0.0.0.0/0"
    ),
)
