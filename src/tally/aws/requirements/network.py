"""The network: zones, subnets, and what security groups and network lists let through."""

from collections.abc import Iterator
from typing import Final

from tally.aws.iam_policies import SESSION_MANAGER, adder_role, allowed_actions
from tally.aws.inventory import SERVICES, Inventory
from tally.aws.inventory.resources import Resource, tags_of
from tally.aws.reachability import parties
from tally.aws.requirement import Concern, Evidence, NotApplicable, equal
from tally.aws.security_groups import ANYONE, Opening, admits, is_range, openings, overlaps, show

concern = Concern("Network")

# EC2.13 and CIS 5.2 to 5.4: ways to administer a machine.
ADMINISTRATION: Final = (22, 3389)
# EC2.19's list: FTP, telnet, mail, RPC, file shares, databases, development servers and dashboards.
RISKY: Final = (
    *(20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432),
    *(5500, 5601, 8080, 8088, 8888, 9200, 9300),
)
# EC2.18: what may be open to everybody, and here only on the load balancer.
PUBLIC: Final = (80, 443)
_TIERS: Final = ("public", "private", "database")
_FEWEST_ZONES: Final = 2


def name_of(thing: Resource, key: str) -> str:
    """An id with the name that the console shows."""
    name = tags_of(thing).get("Name")
    return f"{thing[key]} ({name})" if name else str(thing[key])


def _ingress(aws: Inventory) -> Iterator[tuple[str, str, Opening]]:
    """Every opening of every group: the group's id, how to call it, and the opening."""
    for identifier, group in aws.ec2.security_groups.items():
        for opening in openings(group["IpPermissions"]):
            yield identifier, f"{identifier} ({group['GroupName']})", opening


@concern.requires(
    "network-zones", "Public, private and database subnets lie in at least two zones each"
)
def _zones(aws: Inventory) -> Iterator[Evidence]:
    for tier in _TIERS:
        subnets = [it for it in aws.ec2.subnets.values() if tags_of(it).get("Tier") == tier]
        zones = sorted({subnet["AvailabilityZone"] for subnet in subnets})
        ids = ", ".join(sorted(subnet["SubnetId"] for subnet in subnets))
        yield Evidence(f"{tier}: {ids}", len(zones) >= _FEWEST_ZONES, ", ".join(zones) or "no zone")


@concern.requires(
    "network-tiers", "Only public subnets lead to the internet; database subnets lead nowhere"
)
def _tiers(aws: Inventory) -> Iterator[Evidence]:
    for identifier, subnet in aws.ec2.subnets.items():
        tier = tags_of(subnet).get("Tier", "none")
        ways = [
            way
            for route in aws.ec2.routes(identifier)
            for key in (
                "GatewayId",
                "NatGatewayId",
                "TransitGatewayId",
                "NetworkInterfaceId",
                "EgressOnlyInternetGatewayId",
                "VpcPeeringConnectionId",
            )
            if (way := route.get(key)) and way != "local"
        ]
        allowed = {"public": ("igw-",), "private": ("nat-", "vpce-")}.get(tier, ())
        wrong = [way for way in ways if not way.startswith(allowed)]
        yield Evidence(
            name_of(subnet, "SubnetId"),
            not wrong,
            f"{tier}: leads to {', '.join(ways) or 'nothing'}",
        )


@concern.requires(
    "network-default-group", "The default security group lets nothing in or out", "EC2.2", "CIS 5.5"
)
def _default_group(aws: Inventory) -> Iterator[Evidence]:
    for identifier, group in aws.ec2.security_groups.items():
        if group["GroupName"] == "default":
            rules = [
                str(opening)
                for kind in ("IpPermissions", "IpPermissionsEgress")
                for opening in openings(group[kind])
            ]
            yield Evidence(identifier, not rules, "; ".join(rules) or "no rules")


@concern.requires(
    "network-groups-named",
    "Rules name groups: address ranges stand only where the peer is outside the network",
)
def _groups_named(aws: Inventory) -> Iterator[Evidence]:
    network = [block["CidrBlock"] for block in aws.ec2.vpc["CidrBlockAssociationSet"]]
    for identifier, group in aws.ec2.security_groups.items():
        inside = [
            str(opening)
            for kind in ("IpPermissions", "IpPermissionsEgress")
            for opening in openings(group[kind])
            if is_range(opening.peer)
            and opening.peer not in ANYONE
            and any(overlaps(opening.peer, block) for block in network)
        ]
        yield Evidence(
            f"{identifier} ({group['GroupName']})",
            not inside,
            "; ".join(inside) or "no range of the network's own",
        )


@concern.requires(
    "network-group-a-role", "Load balancer, services, database and bastion have a group each"
)
def _group_a_role(aws: Inventory) -> Iterator[Evidence]:
    users: dict[str, list[str]] = {}
    for party in parties(aws):
        for group in party.groups:
            users.setdefault(group, []).append(party.name)
        if not party.groups:
            yield Evidence(party.name, False, "has no security group")
    for group, names in sorted(users.items(), key=lambda item: item[1]):
        yield Evidence(group, len(names) == 1, f"is the group of {' and '.join(names)}")


@concern.requires(
    "network-internet",
    "The internet may open ports 80 and 443 of the load balancer alone",
    "EC2.18",
)
def _internet(aws: Inventory) -> Iterator[Evidence]:
    public = set(aws.elbv2.load_balancer["SecurityGroups"])
    for identifier, name, opening in _ingress(aws):
        if opening.to_anyone:
            web = len(opening.ports) == 1 and opening.ports.start in PUBLIC
            good = identifier in public and web and opening.protocol == "tcp"
            yield Evidence(name, good, str(opening))
    yield Evidence(
        "all other groups of " + aws.ec2.vpc["VpcId"],
        True,
        "let in nobody from the whole internet",
    )


@concern.requires(
    "network-administration",
    "No group lets the whole internet in for administration (22, 3389)",
    "EC2.13",
    "CIS 5.3",
    "CIS 5.4",
)
def _administration(aws: Inventory) -> Iterator[Evidence]:
    yield from _closed_to_anyone(aws, ADMINISTRATION)


@concern.requires(
    "network-risky-ports", "No group lets the whole internet in on ports of high risk", "EC2.19"
)
def _risky(aws: Inventory) -> Iterator[Evidence]:
    yield from _closed_to_anyone(aws, RISKY)


def _closed_to_anyone(aws: Inventory, ports: tuple[int, ...]) -> Iterator[Evidence]:
    open_to_anyone: dict[str, list[str]] = {
        f"{identifier} ({group['GroupName']})": []
        for identifier, group in aws.ec2.security_groups.items()
    }
    for _, name, opening in _ingress(aws):
        if opening.to_anyone and any(port in opening.ports for port in ports):
            open_to_anyone[name].append(str(opening))
    for name, found in open_to_anyone.items():
        yield Evidence(name, not found, "; ".join(found) or "closed to the whole internet")


@concern.requires(
    "network-lists",
    "No network list lets the whole internet in for administration (22, 3389)",
    "CIS 5.2",
)
def _lists(aws: Inventory) -> Iterator[Evidence]:
    for acl in aws.ec2.network_acls:
        found = [
            f"{port} from {anyone}"
            for port in ADMINISTRATION
            if (anyone := admits(acl["Entries"], port))
            # Without a subnet it lets nothing anywhere; the private ones have no way in at all.
            and _has_way_in(aws, acl)
        ]
        used = len(acl["Associations"])
        yield Evidence(
            name_of(acl, "NetworkAclId"),
            not found,
            f"lets in {', '.join(found)}" if found else f"of {used} subnets: lets in neither",
        )


def _has_way_in(aws: Inventory, acl: Resource) -> bool:
    return any(
        str(route.get("GatewayId", "")).startswith("igw-")
        for association in acl["Associations"]
        for route in aws.ec2.routes(association["SubnetId"])
    )


@concern.requires(
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
                # The size of one of this network's subnets.
                narrow = int(target.rpartition("/")[2]) >= 24  # noqa: PLR2004
                yield Evidence(table["RouteTableId"], narrow, f"{target} over the peering")
    for peering in aws.ec2.vpc_peerings:
        yield Evidence(peering["VpcPeeringConnectionId"], True, "is there")


@concern.requires(
    "network-database-callers", "Only the three services and the bastion may open PostgreSQL"
)
def _database_callers(aws: Inventory) -> Iterator[Evidence]:
    everybody = parties(aws)
    allowed = {
        group: party.name
        for party in everybody
        if party.name in (*SERVICES, "bastion")
        for group in party.groups
    }
    for party in everybody:
        if party.name == "database":
            for group in party.groups:
                for opening in openings(aws.ec2.security_groups[group]["IpPermissions"]):
                    caller = allowed.get(opening.peer)
                    good = caller is not None and show(opening) == "5432"
                    yield Evidence(group, good, f"{caller or opening.peer} on {show(opening)}")


@concern.requires(
    "network-no-public-address", "Nothing but the bastion has a public address", "EC2.9"
)
def _no_public_address(aws: Inventory) -> Iterator[Evidence]:
    bastions = {it["InstanceId"] for it in aws.ec2.bastions}
    balancers = {it["LoadBalancerName"] for it in aws.elbv2.load_balancers}
    for instance in aws.ec2.instances:
        address = instance.get("PublicIpAddress")
        good = address is None or instance["InstanceId"] in bastions
        yield Evidence(name_of(instance, "InstanceId"), good, f"public address {address or 'none'}")
    for card in aws.ec2.network_interfaces:
        address = card.get("Association", {}).get("PublicIp")
        owner = card.get("Attachment", {}).get("InstanceId")
        described = card.get("Description", "")
        known = owner is not None or any(name in described for name in balancers)
        if address and not known and card.get("InterfaceType") != "nat_gateway":
            yield Evidence(
                card["NetworkInterfaceId"], False, f"public address {address}: {described}"
            )


@concern.requires(
    "network-subnets-assign-none", "No subnet gives out public addresses by itself", "EC2.15"
)
def _assign_none(aws: Inventory) -> Iterator[Evidence]:
    for subnet in aws.ec2.subnets.values():
        yield equal(
            name_of(subnet, "SubnetId"), "MapPublicIpOnLaunch", subnet["MapPublicIpOnLaunch"], False
        )


# What runs in the private subnets asks these services: images, logs, secrets, files; and sessions,
# where the adder's machines may have them.
_NEEDED: Final = ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "s3")
_NEEDED_FOR_SESSIONS: Final = ("ssm", "ssmmessages")


@concern.requires(
    "network-way-out", "Private subnets reach what they need: by private endpoints or by NAT"
)
def _way_out(aws: Inventory) -> Iterator[Evidence]:
    private = [
        identifier
        for identifier, subnet in aws.ec2.subnets.items()
        if tags_of(subnet).get("Tier") == "private"
    ]
    through_nat = [any(route.get("NatGatewayId") for route in aws.ec2.routes(it)) for it in private]
    if through_nat and all(through_nat):
        for nat in aws.ec2.nat_gateways:
            yield Evidence(nat["NatGatewayId"], nat["State"] == "available", nat["State"])
        return
    by_service = {
        str(it["ServiceName"]).partition(".")[2].partition(".")[2].partition(".")[2]: it
        for it in aws.ec2.vpc_endpoints
    }
    sessions = SESSION_MANAGER & allowed_actions(aws, adder_role(aws))
    for service in (*_NEEDED, *(_NEEDED_FOR_SESSIONS if sessions else ())):
        entrance = by_service.get(service)
        if entrance is None:
            yield Evidence(service, False, "no endpoint and no NAT")
        else:
            good = entrance["State"].lower() == "available"
            if entrance["VpcEndpointType"] == "Interface":
                good = good and entrance["PrivateDnsEnabled"]
            yield Evidence(f"{entrance['VpcEndpointId']} ({service})", good, entrance["State"])
