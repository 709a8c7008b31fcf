"""Reachable ports, computed from security groups, routes and path rules as found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tally.aws.inventory import SERVICES, Inventory
from tally.aws.inventory.resources import Resource, groups_of
from tally.aws.requirement import Concern, Evidence
from tally.aws.security_groups import ANYONE, Opening, common, is_range, openings, overlaps, show

concern = Concern("Reachability")

# Those outside the network, who have no groups.
INTERNET: Final = "the internet"
ALLOWED: Final = "listed addresses"
CLOUDFRONT: Final = "CloudFront"
S3: Final = "S3"
OUTSIDE: Final = (INTERNET, ALLOWED, CLOUDFRONT, S3)
# AWS's own lists of addresses.
_LISTS: Final = {"com.amazonaws.global.cloudfront.origin-facing": CLOUDFRONT}

# The ports that each is to reach, and nobody anything else. What stands in brackets is
# there only with a domain, or only without one, or only where SSH is allowed.
_BALANCED: Final = {("load balancer", service): {"8080"} for service in SERVICES}
_QUERYING: Final = {(caller, "database"): {"5432"} for caller in (*SERVICES, "bastion")}
_ASKING: Final = {(caller, "endpoints"): {"443"} for caller in (*SERVICES, "bastion")}
_FETCHING: Final = {(caller, S3): {"443"} for caller in SERVICES}
DECLARED: Final[dict[tuple[str, str], set[str]]] = {
    **_BALANCED,
    **_QUERYING,
    **_ASKING,
    **_FETCHING,
    ("bastion", INTERNET): {"443"},
}
# With a domain, the bastion may visit the pages as anybody may.
DECLARED_WITH_DOMAIN: Final = {
    (INTERNET, "load balancer"): {"80", "443"},
    ("bastion", "load balancer"): {"443"},
}
DECLARED_WITHOUT_DOMAIN: Final = {(CLOUDFRONT, "load balancer"): {"80"}}
DECLARED_WITH_SSH: Final = {(ALLOWED, "bastion"): {"22"}}

# Which paths the load balancer hands to whom.
DECLARED_PATHS: Final = {
    "/": "display",
    "/openapi.json": "display",
    "/adder_service*": "adder",
    "/display_service*": "display",
    "/reset_service*": "reset",
}


@dataclass(frozen=True, slots=True)
class Party:
    """Who has addresses in the network: by which groups and subnets, and whether in public."""

    name: str
    groups: frozenset[str]
    subnets: frozenset[str]
    public: bool = False


@dataclass(frozen=True, slots=True)
class Matrix:
    """Ports by who opens them (rows) and of whom (columns), found and declared; and the paths."""

    names: tuple[str, ...]
    found: dict[tuple[str, str], set[str]]
    declared: dict[tuple[str, str], set[str]]
    paths: dict[str, str]

    def differs(self, source: str, target: str) -> bool:
        """Whether two may do something else than is declared."""
        pair = (source, target)
        return self.found.get(pair, set()) != self.declared.get(pair, set())


def parties(aws: Inventory) -> list[Party]:
    """Everybody in the network. Groups and subnets are read from the things, not from names."""
    balancer = aws.elbv2.load_balancer
    zones = frozenset(zone["SubnetId"] for zone in balancer["AvailabilityZones"])
    template = aws.ec2.adder_template["LaunchTemplateData"]
    cards = template.get("NetworkInterfaces", [])
    group = aws.autoscaling.adder_group
    found = [
        Party(
            "load balancer",
            frozenset(balancer["SecurityGroups"]),
            zones,
            balancer["Scheme"] == "internet-facing",
        ),
        Party(
            "adder",
            frozenset(
                [
                    *template.get("SecurityGroupIds", []),
                    *(it for card in cards for it in card.get("Groups", [])),
                ]
            ),
            frozenset(group["VPCZoneIdentifier"].split(",")),
            any(card.get("AssociatePublicIpAddress") for card in cards),
        ),
    ]
    for name, service in aws.ecs.services.items():
        placed = service["networkConfiguration"]["awsvpcConfiguration"]
        found.append(
            Party(
                name,
                frozenset(placed.get("securityGroups", [])),
                frozenset(placed["subnets"]),
                placed.get("assignPublicIp") == "ENABLED",
            )
        )
    database = aws.rds.database
    found.append(
        Party(
            "database",
            frozenset(it["VpcSecurityGroupId"] for it in database["VpcSecurityGroups"]),
            frozenset(it["SubnetIdentifier"] for it in database["DBSubnetGroup"]["Subnets"]),
            bool(database["PubliclyAccessible"]),
        )
    )
    found.extend(
        Party(
            "bastion",
            frozenset(groups_of(machine)),
            frozenset([machine["SubnetId"]]),
            bool(machine.get("PublicIpAddress")),
        )
        for machine in aws.ec2.bastions
    )
    entrances = [it for it in aws.ec2.vpc_endpoints if it["VpcEndpointType"] == "Interface"]
    if entrances:
        found.append(
            Party(
                "endpoints",
                frozenset(it["GroupId"] for entrance in entrances for it in entrance["Groups"]),
                frozenset(it for entrance in entrances for it in entrance["SubnetIds"]),
            )
        )
    return found


def matrix(aws: Inventory) -> Matrix:
    """Compute who can open what, and set what is declared beside it."""
    inside = parties(aws)
    found: dict[tuple[str, str], set[str]] = {}
    for pair, port in flows(aws, inside):
        found.setdefault(pair, set()).add(port)
    declared = {
        **DECLARED,
        **(
            DECLARED_WITH_DOMAIN if aws.cloudfront.distribution is None else DECLARED_WITHOUT_DOMAIN
        ),
    }
    # Whether SSH is open is the operator's choice; the bastion's requirements say from where.
    if (ALLOWED, "bastion") in found:
        declared |= DECLARED_WITH_SSH
    seen = {name for pair in (*found, *declared) for name in pair}
    names = [*(name for name in OUTSIDE if name in seen), *dict.fromkeys(it.name for it in inside)]
    names += sorted(seen - set(names))
    return Matrix(tuple(names), found, declared, paths(aws))


def flows(aws: Inventory, inside: list[Party]) -> Iterator[tuple[tuple[str, str], str]]:
    """Every way that groups and routes leave open: who, to whom, and the ports."""
    for target in inside:
        letting_in = list(_rules(aws, target.groups, "IpPermissions"))
        for opening in letting_in:
            outsider = _outsider(aws, opening.peer)
            if outsider == CLOUDFRONT and _has_vpc_origin(aws):
                # Its entrance lies inside the network and needs no public address.
                yield (CLOUDFRONT, target.name), show(opening)
            elif outsider is not None and target.public and _open_to_internet(aws, target):
                yield (outsider, target.name), show(opening)
        for source in inside:
            letting_out = list(_rules(aws, source.groups, "IpPermissionsEgress"))
            for out in letting_out:
                if not _covers(aws, out.peer, target):
                    continue
                for into in letting_in:
                    shared = common(out, into) if _covers(aws, into.peer, source) else None
                    if shared is not None:
                        yield (source.name, target.name), show(shared)
    for source in inside:
        for out in _rules(aws, source.groups, "IpPermissionsEgress"):
            outsider = _outsider(aws, out.peer)
            if outsider is not None and _way_out(aws, source, outsider, out.peer):
                yield (source.name, outsider), show(out)


def _rules(aws: Inventory, groups: Iterable[str], kind: str) -> Iterator[Opening]:
    for group in sorted(groups):
        yield from openings(aws.ec2.security_groups[group][kind])


def _outsider(aws: Inventory, peer: str) -> str | None:
    """Who outside the network a rule's peer is."""
    if peer in ANYONE:
        return INTERNET
    if is_range(peer):
        return None if _in_network(aws, peer) else ALLOWED
    if peer.startswith("pl-"):
        name = aws.ec2.prefix_lists.get(peer, peer)
        return S3 if name.endswith(".s3") else _LISTS.get(name, name)
    return None


def _in_network(aws: Inventory, peer: str) -> bool:
    blocks = aws.ec2.vpc.get("CidrBlockAssociationSet") or [aws.ec2.vpc]
    return any(overlaps(peer, block["CidrBlock"]) for block in blocks)


def _covers(aws: Inventory, peer: str, party: Party) -> bool:
    """Whether a rule's peer means somebody inside."""
    if is_range(peer):
        return any(
            overlaps(peer, aws.ec2.subnets[it]["CidrBlock"])
            for it in party.subnets
            if it in aws.ec2.subnets
        )
    return peer in party.groups


def _open_to_internet(aws: Inventory, party: Party) -> bool:
    return any(_leads(aws, subnet, ("igw-",), ANYONE) for subnet in party.subnets)


def _way_out(aws: Inventory, party: Party, outsider: str, peer: str) -> bool:
    """Whether routes lead from a party to somebody outside."""
    if outsider == S3:
        return any(_leads(aws, subnet, ("vpce-",), (peer,)) for subnet in party.subnets)
    if any(_leads(aws, subnet, ("nat-", "eigw-"), ANYONE) for subnet in party.subnets):
        return True
    return party.public and _open_to_internet(aws, party)


def _leads(aws: Inventory, subnet: str, gateways: tuple[str, ...], towards: Iterable[str]) -> bool:
    wanted = set(towards)
    return any(
        _gateway(route).startswith(gateways) and wanted & set(_destinations(route))
        for route in aws.ec2.routes(subnet)
    )


def _gateway(route: Resource) -> str:
    keys = ("GatewayId", "NatGatewayId", "EgressOnlyInternetGatewayId")
    return str(next((route[key] for key in keys if route.get(key)), ""))


def _destinations(route: Resource) -> list[Any]:
    keys = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
    return [route[key] for key in keys if key in route]


def _has_vpc_origin(aws: Inventory) -> bool:
    if aws.cloudfront.distribution is None:
        return False
    origins = aws.cloudfront.distribution["DistributionConfig"]["Origins"]["Items"]
    return any("VpcOriginConfig" in origin for origin in origins)


def paths(aws: Inventory) -> dict[str, str]:
    """Which service gets the requests for each path pattern; the first rule that fits decides."""
    found: dict[str, str] = {}
    for listener in aws.elbv2.listeners:
        for rule in aws.elbv2.rules(listener["ListenerArn"]):
            for pattern in path_patterns(rule):
                found.setdefault(pattern, rule_target(aws, rule))
    return found


def path_patterns(rule: Resource) -> list[str]:
    """The path patterns of a rule that has no other condition."""
    conditions = rule["Conditions"]
    if len(conditions) != 1 or conditions[0]["Field"] != "path-pattern":
        return []
    condition = conditions[0]
    return list(condition.get("PathPatternConfig", {}).get("Values") or condition["Values"])


def rule_target(aws: Inventory, rule: Resource) -> str:
    """The short name of the service that a rule forwards to, or what else it does."""
    action = rule["Actions"][-1]
    if action["Type"] != "forward":
        return str(action["Type"])
    arns = {action["TargetGroupArn"]} if "TargetGroupArn" in action else set()
    arns |= {it["TargetGroupArn"] for it in action.get("ForwardConfig", {}).get("TargetGroups", [])}
    return " and ".join(sorted(_owner(aws, arn) for arn in arns))


def _owner(aws: Inventory, target_group: str) -> str:
    """Whose targets a target group holds: read from who registers there, not from its name."""
    if target_group in aws.autoscaling.adder_group.get("TargetGroupARNs", []):
        return "adder"
    for name, service in aws.ecs.services.items():
        if any(it.get("targetGroupArn") == target_group for it in service["loadBalancers"]):
            return name
    return target_group.rpartition(":")[2]


@concern.requires("reachability-ports", "Only the declared ports can be reached")
def _ports(aws: Inventory) -> Iterator[Evidence]:
    found = matrix(aws)
    for pair in sorted({*found.found, *found.declared}):
        ports, declared = (
            ", ".join(sorted(ports.get(pair, ()))) or "nothing"
            for ports in (found.found, found.declared)
        )
        good = ports == declared
        yield Evidence(
            f"{pair[0]} → {pair[1]}", good, ports if good else f"{ports}, declared is {declared}"
        )


@concern.requires("reachability-paths", "Which paths reach which service is as declared")
def _paths(aws: Inventory) -> Iterator[Evidence]:
    found = paths(aws)
    for path in sorted({*found, *DECLARED_PATHS}):
        target, declared = found.get(path, "nobody"), DECLARED_PATHS.get(path, "nobody")
        good = target == declared
        yield Evidence(path, good, target if good else f"{target}, declared is {declared}")
