"""Security group rules and network lists, read as what they let through."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from tally.aws.inventory.resources import Resource

ANYONE: Final = ("0.0.0.0/0", "::/0")
ALL_PORTS: Final = range(65536)


@dataclass(frozen=True, slots=True)
class Opening:
    """One peer that may use some ports: a group's id, an address range, or a prefix list's id."""

    peer: str
    protocol: str
    ports: range

    @property
    def to_anyone(self) -> bool:
        return self.peer in ANYONE

    def __str__(self) -> str:
        return f"{self.peer} on {show(self)}"


def openings(permissions: Iterable[Resource]) -> Iterator[Opening]:
    """Take apart what EC2 calls permissions: each has many peers."""
    for permission in permissions:
        protocol = permission["IpProtocol"]
        ports = ALL_PORTS
        # ICMP has types where others have ports; -1 is every protocol.
        if protocol in ("tcp", "udp", "6", "17") and permission.get("FromPort", -1) >= 0:
            ports = range(permission["FromPort"], permission["ToPort"] + 1)
        for peers, key in (
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("UserIdGroupPairs", "GroupId"),
            ("PrefixListIds", "PrefixListId"),
        ):
            for peer in permission.get(peers, []):
                yield Opening(peer[key], protocol, ports)


def show(opening: Opening) -> str:
    """Ports as text, such as `8080`, `1000-2000`, `all ports` or `udp 53`."""
    if opening.protocol == "-1":
        return "everything"
    if opening.ports == ALL_PORTS:
        text = "all ports"
    elif len(opening.ports) == 1:
        text = str(opening.ports.start)
    else:
        text = f"{opening.ports.start}-{opening.ports.stop - 1}"
    return text if opening.protocol in ("tcp", "6") else f"{opening.protocol} {text}"


def overlaps(one: str, other: str) -> bool:
    """Whether two address ranges have an address in common."""
    first, second = ip_network(one, strict=False), ip_network(other, strict=False)
    return first.version == second.version and first.overlaps(second)


def is_range(peer: str) -> bool:
    """Whether a peer is an address range and not an id."""
    return "/" in peer


def common(one: Opening, other: Opening) -> Opening | None:
    """What both let through; the peer is the first's."""
    ports = range(max(one.ports.start, other.ports.start), min(one.ports.stop, other.ports.stop))
    if not ports:
        return None
    if one.protocol == "-1":
        return Opening(one.peer, other.protocol, ports)
    if other.protocol in ("-1", one.protocol):
        return Opening(one.peer, one.protocol, ports)
    return None


def admits(entries: Iterable[Resource], port: int) -> str | None:
    """Give the range of anyone's from which a network list lets a TCP port in, or None.

    Entries count in the order of their numbers, and the first that fits decides.
    """
    ordered = sorted(entries, key=lambda entry: int(entry["RuleNumber"]))
    for anyone, key in zip(ANYONE, ("CidrBlock", "Ipv6CidrBlock"), strict=True):
        for entry in ordered:
            span = entry.get("PortRange") or {"From": 0, "To": ALL_PORTS.stop}
            every = entry["Protocol"] == "-1"
            tcp = entry["Protocol"] == "6" and span["From"] <= port <= span["To"]
            if not entry["Egress"] and entry.get(key) == anyone and (every or tcp):
                if entry["RuleAction"] == "allow":
                    return anyone
                break
    return None
