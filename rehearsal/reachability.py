"""What becomes of each attempt, computed from groups, network ACLs and routes as found.

The order is that of a packet: out by the source's group and ACL, along a route, in by the target's
ACL and group. Groups keep state, so an answer passes them; ACLs keep none (VPC's user guide,
"Compare security groups and network ACLs"). `filters.py` says the same in nftables' words.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from rehearsal.found import FIRST_CLIENT_PORT, NUMBERS, TCP, UDP, Found, Host
from rehearsal.outcome import Cell, Outcome
from tally.aws.inventory.resources import Resource
from tally.aws.reachability import CLOUDFRONT, S3
from tally.aws.security_groups import is_range, openings


def cells(found: Found, hosts: Iterable[Host]) -> Iterator[Cell]:
    """Everything that some hosts can try among themselves."""
    chosen = set(hosts)
    parts = [(protocol, ports) for protocol in (TCP, UDP) for ports in found.ports(protocol)]
    for source in found.sources:
        for target in found.targets:
            # What those outside do among themselves is not the deployment's.
            apart = source != target and not (source.outside and target.outside)
            if apart and {source, target} <= chosen:
                yield from (Cell(source, target, *part) for part in parts)


def outcome(found: Found, cell: Cell) -> Outcome:
    """The first thing that refuses the connection, or that nothing does."""
    return next(_refusals(found, cell), Outcome.PASSES)


def _refusals(found: Found, cell: Cell) -> Iterator[Outcome]:
    source, target = cell.source, cell.target
    there, back = (source, target, cell.protocol), (target, source, cell.protocol)
    if not _group_admits(found, "IpPermissionsEgress", source, target, cell):
        yield Outcome.GROUP_OUT
    if not _acl_admits(found, *there, cell.port, egress=True):
        yield Outcome.ACL_OUT
    if not _leads(found, source, target):
        yield Outcome.ROUTE
    if not _acl_admits(found, *there, cell.port, egress=False):
        yield Outcome.ACL_IN
    if not _group_admits(found, "IpPermissions", target, source, cell):
        yield Outcome.GROUP_IN
    if not _acl_admits(found, *back, FIRST_CLIENT_PORT, egress=True):
        yield Outcome.ANSWER_ACL_OUT
    if not _leads(found, target, source):
        yield Outcome.ANSWER_ROUTE
    if not _acl_admits(found, *back, FIRST_CLIENT_PORT, egress=False):
        yield Outcome.ANSWER_ACL_IN


def _group_admits(found: Found, way: str, owner: Host, peer: Host, cell: Cell) -> bool:
    """Whether one of the owner's groups lets it speak with a peer; those outside have none."""
    if owner.outside:
        return True
    protocols = ("-1", cell.protocol, NUMBERS[cell.protocol])
    return any(
        opening.protocol in protocols
        and cell.port in opening.ports
        and _means(found, opening.peer, peer)
        for group in owner.groups
        for opening in openings(found.groups[group][way])
    )


def _means(found: Found, peer: str, host: Host) -> bool:
    if is_range(peer) or peer.startswith("pl-"):
        return any(_holds(it, host.address) for it in found.ranges(peer))
    return peer in host.groups


def _acl_admits(
    found: Found, source: Host, target: Host, protocol: str, port: int, *, egress: bool
) -> bool:
    """Whether a packet may cross the border of a subnet, if it crosses one."""
    owner, peer = (source, target) if egress else (target, source)
    if owner.outside or owner.subnet == peer.subnet:
        return True
    for entry in found.entries(owner.subnet, egress=egress):
        if _fits(entry, peer.address, protocol, port):
            return bool(entry["RuleAction"] == "allow")
    return False


def _fits(entry: Resource, address: str, protocol: str, port: int) -> bool:
    if not _holds(entry["CidrBlock"], address):
        return False
    if entry["Protocol"] == "-1":
        return True
    span = entry.get("PortRange", {})
    spoken = entry["Protocol"] == NUMBERS[protocol]
    return spoken and bool(span.get("From", 0) <= port <= span.get("To", 65535))


def _leads(found: Found, source: Host, target: Host) -> bool:
    if source.outside:
        # S3 answers where its endpoint is; the others come by the internet or CloudFront's origin.
        if source.name == S3 and _gateway(found, target, source.address).startswith("vpce-"):
            return True
        return target.public is not None or (source.name == CLOUDFRONT and target in found.origins)
    if target.name == CLOUDFRONT and source in found.origins:
        return True
    gateway = _gateway(found, source, target.address)
    if gateway == "local":
        return not target.outside
    if gateway.startswith("vpce-"):
        return target.name == S3
    return gateway.startswith("igw-") and source.public is not None and target.outside


def _gateway(found: Found, host: Host, address: str) -> str:
    """Where the narrowest route for an address leads to, or nothing."""
    best, gateway = -1, ""
    for route in found.routes(host.subnet):
        towards = route.get("DestinationCidrBlock") or route.get("DestinationPrefixListId")
        for it in found.ranges(towards) if towards else ():
            if _holds(it, address) and IPv4Network(it).prefixlen > best:
                best, gateway = IPv4Network(it).prefixlen, str(route.get("GatewayId", ""))
    return gateway


def _holds(network: str, address: str) -> bool:
    return IPv4Address(address) in IPv4Network(network)
