"""The network: zones, subnets, and what security groups and network lists let through."""

from collections.abc import Callable, Iterator
from typing import Final

from tally.aws.inventory import REGION, SERVICES, Inventory
from tally.aws.inventory.resources import (
    Resource,
    name_of,
    policy_document,
    statements,
    tags_of,
)
from tally.aws.predicates import at_least
from tally.aws.reachability import parties
from tally.aws.requirement import Concern, Evidence, NotApplicable, Verdict, hold, named, nothing
from tally.aws.security_groups import ANYONE, Opening, admits, is_range, openings, overlaps, show

concern = Concern("Network")
requires = concern.requires

# EC2.13 and CIS 5.2 to 5.4: ways to administer a machine.
ADMINISTRATION: Final = (22, 3389)
# EC2.19's list: FTP, telnet, mail, RPC, file shares, databases, development servers and dashboards.
RISKY: Final = (
    *(20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432),
    *(5500, 5601, 8080, 8088, 8888, 9200, 9300),
)
# The size of one of this network's subnets.
_NARROW: Final = 24

_subnets = named("SubnetId", lambda aws: aws.ec2.subnets.values())


def _groups(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    for identifier, group in aws.ec2.security_groups.items():
        yield f"{identifier} ({group['GroupName']})", group


def _rules(group: Resource) -> list[Opening]:
    return [*openings(group["IpPermissions"]), *openings(group["IpPermissionsEgress"])]


def _of_tier(aws: Inventory, tier: str) -> list[str]:
    return sorted(it for it, subnet in aws.ec2.subnets.items() if _tier(subnet) == tier)


def _tier(subnet: Resource) -> str:
    return tags_of(subnet).get("Tier", "none")


@requires("network-zones", "Public, private and database subnets lie in at least two zones each")
def _zones(aws: Inventory) -> Iterator[Evidence]:
    for tier in ("public", "private", "database"):
        subnets = _of_tier(aws, tier)
        yield hold(f"{tier}: {', '.join(subnets)}", "zones", aws.ec2.zones(subnets), at_least(2))


# How routes name what they lead to.
_WAYS: Final = (
    *("GatewayId", "NatGatewayId", "TransitGatewayId", "NetworkInterfaceId"),
    *("EgressOnlyInternetGatewayId", "VpcPeeringConnectionId"),
)
_ALLOWED_WAYS: Final[dict[str, tuple[str, ...]]] = {
    "public": ("igw-",),
    "private": ("nat-", "vpce-"),
}


@requires(
    "network-tiers", "Only public subnets lead to the internet; database subnets lead nowhere"
).each(_subnets)
def _tiers(aws: Inventory, subnet: Resource) -> Verdict:
    routes = aws.ec2.routes(subnet["SubnetId"])
    ways = [str(route[key]) for route in routes for key in _WAYS if route.get(key)]
    ways = [way for way in ways if way != "local"]
    allowed = _ALLOWED_WAYS.get(_tier(subnet), ())
    if _tier(subnet) == "private" and aws.out_by_bastion:
        allowed = (*allowed, *aws.ec2.bastion_cards)
    good = all(way.startswith(allowed) for way in ways)
    return good, f"{_tier(subnet)}: leads to {', '.join(ways) or 'nothing'}"


@requires(
    "network-default-group", "The default security group lets nothing in or out", "EC2.2", "CIS 5.5"
).each(lambda aws: (it for it in _groups(aws) if it[1]["GroupName"] == "default"))
def _default_group(_: Inventory, group: Resource) -> Verdict:
    return nothing(_rules(group), "no rules")


@requires(
    "network-groups-named",
    "Rules name groups: address ranges stand only where the peer is outside the network",
).each(_groups)
def _groups_named(aws: Inventory, group: Resource) -> Verdict:
    ranges = [it for it in _rules(group) if is_range(it.peer) and not it.to_anyone]
    inside = [it for it in ranges if any(overlaps(it.peer, block) for block in aws.ec2.networks)]
    return nothing(inside, "no range of the network's own")


@requires("network-group-a-role", "Load balancer, services, database and bastion have a group each")
def _group_a_role(aws: Inventory) -> Iterator[Evidence]:
    users: dict[str, list[str]] = {}
    for party in parties(aws):
        for group in party.groups:
            users.setdefault(group, []).append(party.name)
        if not party.groups:
            yield Evidence(party.name, False, "has no security group")
    for group, names in sorted(users.items(), key=lambda item: item[1]):
        yield Evidence(group, len(names) == 1, f"is the group of {' and '.join(names)}")


@requires("network-internet", "No security group lets in the whole internet", "EC2.18").each(
    _groups
)
def _internet(_: Inventory, group: Resource) -> Verdict:
    opened = [it for it in openings(group["IpPermissions"]) if it.to_anyone]
    return nothing(opened, "lets in nobody from the whole internet")


def _closed(ports: tuple[int, ...]) -> Callable[[Inventory, Resource], Verdict]:
    def look(_: Inventory, group: Resource) -> Verdict:
        opened = [it for it in openings(group["IpPermissions"]) if it.to_anyone]
        found = [it for it in opened if any(port in it.ports for port in ports)]
        return nothing(found, "closed to the whole internet")

    return look


requires(
    "network-administration",
    "No group lets the whole internet in for administration (22, 3389)",
    "EC2.13",
    "CIS 5.3",
    "CIS 5.4",
).each(_groups)(_closed(ADMINISTRATION))
requires(
    "network-risky-ports", "No group lets the whole internet in on ports of high risk", "EC2.19"
).each(_groups)(_closed(RISKY))


@requires(
    "network-lists",
    "No network list lets the whole internet in for administration (22, 3389)",
    "CIS 5.2",
).each(named("NetworkAclId", lambda aws: aws.ec2.network_acls))
def _lists(aws: Inventory, acl: Resource) -> Verdict:
    subnets = [it["SubnetId"] for it in acl["Associations"]]
    admitted = [(port, admits(acl["Entries"], port)) for port in ADMINISTRATION]
    # Without a subnet it lets nothing anywhere; the private ones have no way in at all.
    reached = any(aws.ec2.internet_gateways(subnet) for subnet in subnets)
    found = [f"lets in {port} from {anyone}" for port, anyone in admitted if anyone and reached]
    return nothing(found, f"of {len(subnets)} subnets: lets in neither")


@requires(
    "network-peering", "Routes over a peering lead to single hosts or subnets only", "CIS 5.6"
)
def _peering(aws: Inventory) -> Iterator[Evidence]:
    if not aws.ec2.vpc_peerings:
        raise NotApplicable(f"{aws.ec2.vpc['VpcId']} has no peering")
    for table in aws.ec2.route_tables:
        for route in table["Routes"]:
            if route.get("VpcPeeringConnectionId"):
                target = str(
                    route.get("DestinationCidrBlock", route.get("DestinationIpv6CidrBlock"))
                )
                narrow = int(target.rpartition("/")[2]) >= _NARROW
                yield Evidence(table["RouteTableId"], narrow, f"{target} over the peering")
    for peering in aws.ec2.vpc_peerings:
        yield Evidence(peering["VpcPeeringConnectionId"], True, "is there")


@requires("network-database-callers", "Only the three services and the bastion may open PostgreSQL")
def _database_callers(aws: Inventory) -> Iterator[Evidence]:
    everybody = parties(aws)
    callers = [party for party in everybody if party.name in (*SERVICES, "bastion")]
    allowed = {group: party.name for party in callers for group in party.groups}
    for group in {it for party in everybody if party.name == "database" for it in party.groups}:
        for opening in openings(aws.ec2.security_groups[group]["IpPermissions"]):
            caller = allowed.get(opening.peer)
            good = caller is not None and show(opening) == "5432"
            yield Evidence(group, good, f"{caller or opening.peer} on {show(opening)}")


@requires("network-no-public-address", "Nothing but the bastion has a public address", "EC2.9")
def _no_public_address(aws: Inventory) -> Iterator[Evidence]:
    for instance in aws.ec2.instances:
        address = instance.get("PublicIpAddress")
        good = address is None or instance in aws.ec2.bastions
        yield Evidence(name_of(instance, "InstanceId"), good, f"public address {address or 'none'}")
    for card in aws.ec2.network_interfaces:
        address = card.get("Association", {}).get("PublicIp")
        described = card.get("Description", "")
        known = (
            card.get("Attachment", {}).get("InstanceId") is not None
            or card.get("InterfaceType") == "nat_gateway"
        )
        if address and not known:
            text = f"public address {address}: {described}"
            yield Evidence(card["NetworkInterfaceId"], False, text)


requires(
    "network-subnets-assign-none", "No subnet gives out public addresses by itself", "EC2.15"
).field(_subnets, "MapPublicIpOnLaunch", False)

# What runs in the private subnets asks these services: images, logs, secrets, files and sessions.
_NEEDED: Final[tuple[str, ...]] = (
    *("ecr.api", "ecr.dkr", "logs", "secretsmanager", "s3"),
    *("ssm", "ssmmessages"),
)
_PULLING: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
)


def _endpoints(aws: Inventory) -> dict[str, Resource]:
    """By service: their names are such as com.amazonaws.us-east-1.ecr.api."""
    return {str(it["ServiceName"]).split(".", 3)[-1]: it for it in aws.ec2.vpc_endpoints}


@requires(
    "network-way-out",
    "Private subnets reach what they need: by private endpoints, by NAT or by the bastion",
)
def _way_out(aws: Inventory) -> Iterator[Evidence]:
    private = {it: aws.ec2.routes(it) for it in _of_tier(aws, "private")}
    if private and all(any(it.get("NatGatewayId") for it in found) for found in private.values()):
        for nat in aws.ec2.nat_gateways:
            yield Evidence(nat["NatGatewayId"], nat["State"] == "available", nat["State"])
        return
    needed = _NEEDED
    if aws.out_by_bastion:
        # Only S3 has an entrance, which costs nothing.
        needed = ("s3",)
        for subnet, routes in private.items():
            default = [it for it in routes if it.get("DestinationCidrBlock") in ANYONE]
            ways = [it.get("NetworkInterfaceId", "elsewhere") for it in default]
            good = bool(ways) and set(ways) <= set(aws.ec2.bastion_cards)
            yield Evidence(subnet, good, f"leads out by {', '.join(ways) or 'nothing'}")
    endpoints = _endpoints(aws)
    for service in needed:
        endpoint = endpoints.get(service)
        if endpoint is None:
            yield Evidence(service, False, "no endpoint and no NAT")
        else:
            named_so = endpoint["VpcEndpointType"] != "Interface" or endpoint["PrivateDnsEnabled"]
            good = endpoint["State"].lower() == "available" and bool(named_so)
            yield Evidence(f"{endpoint['VpcEndpointId']} ({service})", good, endpoint["State"])


@requires(
    "network-registry",
    "The registry's endpoints let images of the deployment be pulled, whoever asks, and no more",
)
def _registry(aws: Inventory) -> Iterator[Evidence]:
    own = f"arn:aws:ecr:{REGION}:{aws.ec2.vpc['OwnerId']}:repository/{aws.name}/*"
    pulls = [f"Allow {action} on {own}" for action in _PULLING]
    wanted = sorted([*pulls, "Allow ecr:GetAuthorizationToken on *"])
    entrances = {name: it for name, it in _endpoints(aws).items() if name.startswith("ecr.")}
    if not entrances and (aws.out_by_bastion or aws.ec2.nat_gateways):
        raise NotApplicable("the registry is reached by the bastion or by NAT")
    for service, endpoint in entrances.items():
        found = sorted(_said(endpoint["PolicyDocument"]))
        yield hold(f"{endpoint['VpcEndpointId']} ({service})", "policy", found, wanted)


def _said(policy: str) -> Iterator[str]:
    """What a policy says of each action on each resource."""
    for it in statements(policy_document(policy)):
        condition = f" if {it['Condition']}" if "Condition" in it else ""
        for action in it.get("Action", ["all but some"]):
            for resource in it.get("Resource", ["all but some"]):
                yield f"{it['Effect']} {action} on {resource}{condition}"
