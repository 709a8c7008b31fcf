"""Reachable ports, computed from security groups, routes and path rules as found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import jmespath

from tally.aws.inventory import SERVICES, Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.load_balancer import paths
from tally.aws.requirement import Concern, Evidence, Verdict
from tally.aws.security_groups import ANYONE, Opening, common, is_range, openings, overlaps, show

concern = Concern("Reachability")
requires = concern.requires

# Those outside the network, who have no groups.
INTERNET: Final = "the internet"
ALLOWED: Final = "listed addresses"
CLOUDFRONT: Final = "CloudFront"
S3: Final = "S3"
OUTSIDE: Final = (INTERNET, ALLOWED, CLOUDFRONT, S3)
# AWS's own lists of addresses.
_LISTS: Final = {"com.amazonaws.global.cloudfront.origin-facing": CLOUDFRONT}

# The ports that each is to reach, and nobody anything else.
_USERS: Final = (*SERVICES, "bastion")
DECLARED: Final[dict[tuple[str, str], set[str]]] = {
    **{("load balancer", service): {"8080"} for service in SERVICES},
    **{(caller, "database"): {"5432"} for caller in _USERS},
    **{(caller, S3): {"443"} for caller in SERVICES},
    ("bastion", INTERNET): {"443"},
}
# By whether CloudFront speaks TLS to the load balancer, which takes a domain.
DECLARED_INSIDE: Final = {
    True: {(CLOUDFRONT, "load balancer"): {"443"}},
    False: {(CLOUDFRONT, "load balancer"): {"80"}},
}
# By whether the private subnets' way out is the bastion, which what they send reaches first.
DECLARED_OUT: Final[dict[bool, dict[tuple[str, str], set[str]]]] = {
    True: {(service, to): {"443"} for service in SERVICES for to in ("bastion", INTERNET)},
    False: {(caller, "endpoints"): {"443"} for caller in _USERS},
}
DECLARED_WITH_SSH: Final = {(ALLOWED, "bastion"): {"22"}}

# Which paths the load balancer hands to whom.
DECLARED_PATHS: Final = {
    "/": "display",
    "/openapi.json": "display",
    "/adder_service*": "adder",
    "/display_service*": "display",
    "/reset_service*": "reset",
}

# Where AWS says a resource's groups and subnets, and whether it has a public address: JMESPaths.
_BALANCER: Final = "[SecurityGroups, AvailabilityZones[].SubnetId, Scheme == 'internet-facing']"
_ADDER: Final = (
    "[[SecurityGroupIds, NetworkInterfaces[].Groups[]][], Subnets,"
    " NetworkInterfaces[?AssociatePublicIpAddress]]"
)
_TASKS: Final = "[securityGroups, subnets, assignPublicIp == 'ENABLED']"
_DATABASE: Final = (
    "[VpcSecurityGroups[].VpcSecurityGroupId, DBSubnetGroup.Subnets[].SubnetIdentifier,"
    " PubliclyAccessible]"
)
_MACHINE: Final = (
    "[[SecurityGroups, NetworkInterfaces[].Groups[]][].GroupId, [SubnetId], PublicIpAddress]"
)
_ENDPOINTS: Final = "[All[].Groups[].GroupId, All[].SubnetIds[], `false`]"


@dataclass(frozen=True, slots=True)
class Party:
    """Who has addresses in the network: by which groups and subnets, and whether in public."""

    name: str
    groups: frozenset[str]
    subnets: frozenset[str]
    public: bool = False


@dataclass(frozen=True, slots=True)
class Matrix:
    """Ports by who opens them and of whom, found and declared; and the paths."""

    names: tuple[str, ...]
    found: dict[tuple[str, str], set[str]]
    declared: dict[tuple[str, str], set[str]]
    paths: dict[str, str]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return sorted({*self.found, *self.declared})

    @property
    def sources(self) -> list[str]:
        return [name for name in self.names if any(pair[0] == name for pair in self.pairs)]

    @property
    def targets(self) -> list[str]:
        return [name for name in self.names if any(pair[1] == name for pair in self.pairs)]

    def differs(self, source: str, target: str) -> bool:
        """Whether two may do something else than is declared."""
        pair = (source, target)
        return self.found.get(pair, set()) != self.declared.get(pair, set())


def parties(aws: Inventory) -> list[Party]:
    """Everybody in the network. Groups and subnets are read from resources, not from names."""
    subnets = aws.autoscaling.adder_group["VPCZoneIdentifier"].split(",")
    adder = {**aws.ec2.adder_template["LaunchTemplateData"], "Subnets": subnets}
    tasks = {
        name: service["networkConfiguration"]["awsvpcConfiguration"]
        for name, service in aws.ecs.services.items()
    }
    interfaces = [it for it in aws.ec2.vpc_endpoints if it["VpcEndpointType"] == "Interface"]
    return [
        _party("load balancer", _BALANCER, aws.elbv2.load_balancer),
        _party("adder", _ADDER, adder),
        *(_party(name, _TASKS, placed) for name, placed in tasks.items()),
        _party("database", _DATABASE, aws.rds.database),
        *(_party("bastion", _MACHINE, machine) for machine in aws.ec2.bastions),
        *([_party("endpoints", _ENDPOINTS, {"All": interfaces})] if interfaces else []),
    ]


def _party(name: str, path: str, resource: Resource) -> Party:
    groups, subnets, public = jmespath.search(path, resource)
    return Party(name, frozenset(groups or ()), frozenset(subnets or ()), bool(public))


def matrix(aws: Inventory) -> Matrix:
    """Compute who can open what, and set what is declared beside it."""
    inside = parties(aws)
    found: dict[tuple[str, str], set[str]] = {}
    for pair, port in flows(aws, inside):
        found.setdefault(pair, set()).add(port)
    declared = DECLARED | DECLARED_INSIDE[aws.cloudfront.certificate is not None]
    declared |= DECLARED_OUT[aws.out_by_bastion]
    # Whether SSH is open is the operator's choice; the bastion's requirements say from where.
    if (ALLOWED, "bastion") in found:
        declared |= DECLARED_WITH_SSH
    named = {name for pair in (*found, *declared) for name in pair}
    names = [*(name for name in OUTSIDE if name in named), *dict.fromkeys(it.name for it in inside)]
    names += sorted(named - set(names))
    return Matrix(tuple(names), found, declared, paths(aws))


def flows(aws: Inventory, inside: list[Party]) -> Iterator[tuple[tuple[str, str], str]]:
    """Every way that groups and routes leave open: who, to whom, and the ports."""
    for target in inside:
        for into in _rules(aws, target, "IpPermissions"):
            outsider = _outsider(aws, into.peer)
            # A VPC origin of CloudFront's lies inside the network and needs no public address.
            inwards = outsider == CLOUDFRONT and bool(aws.cloudfront.vpc_origins)
            if outsider and (inwards or (target.public and _open_to_internet(aws, target))):
                yield (outsider, target.name), show(into)
            for source in inside:
                for out in _rules(aws, source, "IpPermissionsEgress"):
                    agreed = _covers(aws, out.peer, target) and _covers(aws, into.peer, source)
                    if agreed and (shared := common(out, into)):
                        yield (source.name, target.name), show(shared)
    for source in inside:
        for out in _rules(aws, source, "IpPermissionsEgress"):
            outsider = _outsider(aws, out.peer)
            if outsider and _way_out(aws, source, outsider, out.peer):
                yield (source.name, outsider), show(out)


def _rules(aws: Inventory, party: Party, kind: str) -> Iterator[Opening]:
    for group in sorted(party.groups):
        yield from openings(aws.ec2.security_groups[group][kind])


def _outsider(aws: Inventory, peer: str) -> str | None:
    """Who outside the network a rule's peer is."""
    if peer in ANYONE:
        return INTERNET
    if is_range(peer):
        return None if _in_network(aws, peer) else ALLOWED
    if peer.startswith("pl-"):
        return list_name(aws, peer)
    return None


def list_name(aws: Inventory, peer: str) -> str:
    """Whose addresses a list of addresses holds."""
    name = aws.ec2.prefix_lists.get(peer, peer)
    return S3 if name.endswith(".s3") else _LISTS.get(name, name)


def _in_network(aws: Inventory, peer: str) -> bool:
    return any(overlaps(peer, network) for network in aws.ec2.networks)


def _covers(aws: Inventory, peer: str, party: Party) -> bool:
    """Whether a rule's peer means somebody inside."""
    if not is_range(peer):
        return peer in party.groups
    subnets = [aws.ec2.subnets[it] for it in party.subnets if it in aws.ec2.subnets]
    return any(overlaps(peer, subnet["CidrBlock"]) for subnet in subnets)


def _open_to_internet(aws: Inventory, party: Party) -> bool:
    return any(_leads(aws, subnet, ("igw-",), ANYONE) for subnet in party.subnets)


def _way_out(aws: Inventory, party: Party, outsider: str, peer: str) -> bool:
    """Whether routes lead from a party to somebody outside."""
    if outsider == S3:
        return any(_leads(aws, subnet, ("vpce-",), (peer,)) for subnet in party.subnets)
    if any(_leads(aws, subnet, ("nat-", "eigw-", "eni-"), ANYONE) for subnet in party.subnets):
        return True
    return party.public and _open_to_internet(aws, party)


_GATEWAYS: Final = (
    *("GatewayId", "NatGatewayId", "EgressOnlyInternetGatewayId"),
    "NetworkInterfaceId",
)
_ENDS: Final = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")


def _leads(aws: Inventory, subnet: str, gateways: tuple[str, ...], towards: Iterable[str]) -> bool:
    return any(
        any(str(route.get(key)).startswith(gateways) for key in _GATEWAYS)
        and any(key in route and route[key] in towards for key in _ENDS)
        for route in aws.ec2.routes(subnet)
    )


def _as_declared(found: str, declared: str) -> Verdict:
    return found == declared, found if found == declared else f"{found}, declared is {declared}"


@requires("reachability-ports", "Only the declared ports can be reached")
def _ports(aws: Inventory) -> Iterator[Evidence]:
    both = matrix(aws)
    for pair in both.pairs:
        found, declared = (
            ", ".join(sorted(ports.get(pair, ()))) or "nothing"
            for ports in (both.found, both.declared)
        )
        yield Evidence(f"{pair[0]} → {pair[1]}", *_as_declared(found, declared))


@requires("reachability-paths", "Which paths reach which service is as declared")
def _paths(aws: Inventory) -> Iterator[Evidence]:
    found = paths(aws)
    for path in sorted({*found, *DECLARED_PATHS}):
        declared = DECLARED_PATHS.get(path, "nobody")
        yield Evidence(path, *_as_declared(found.get(path, "nobody"), declared))
