"""What stands, as AWS's API describes it, reduced to what decides about packets.

Nothing here is known beforehand: names come from groups' names, addresses of those outside from the
ranges that rules name, ports from the rules.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Final

import boto3
import jmespath

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.reachability import ALLOWED, INTERNET, S3, list_name
from tally.aws.security_groups import ANYONE, is_range

TCP: Final = "tcp"
UDP: Final = "udp"
# A rule's protocol, in each of its spellings.
NUMBERS: Final = {TCP: "6", UDP: "17"}
PROTOCOLS: Final = {number: name for name, number in NUMBERS.items()}
# From here up Linux takes the ports of its own connections (net.ipv4.ip_local_port_range).
FIRST_CLIENT_PORT: Final = 32768
LAST_CLIENT_PORT: Final = 60999
LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Host:
    """One end of a connection: a network interface, or somebody outside the network."""

    name: str
    address: str
    # Of an interface only.
    interface: str = ""
    subnet: str = ""
    zone: str = ""
    groups: frozenset[str] = frozenset()
    public: str | None = None
    forwards: bool = False

    @property
    def outside(self) -> bool:
        return not self.interface

    def __str__(self) -> str:
        return f"{self.name} {self.address}"


class Found:
    """One reading of the account. Each kind is asked for once, when needed."""

    def __init__(self, name: str, session: boto3.Session | None = None) -> None:
        self.aws = Inventory(name, session=session)
        self.name = name

    def again(self) -> "Found":
        """What stands now, asked by the same clients: to make them takes longer than to ask."""
        now = Found(self.name)
        now.aws.client = self.aws.client
        return now

    @property
    def networks(self) -> list[str]:
        return self.aws.ec2.networks

    @cached_property
    def groups(self) -> dict[str, Resource]:
        return self.aws.ec2.security_groups

    @cached_property
    def interfaces(self) -> list[Host]:
        ec2 = self.aws.ec2
        found = []
        for card in ec2.network_interfaces:
            subnet = ec2.subnets[card["SubnetId"]]
            groups = sorted(it["GroupId"] for it in card["Groups"])
            names = sorted(self.group_name(it) for it in groups)
            found.append(
                Host(
                    " + ".join(names),
                    card["PrivateIpAddress"],
                    card["NetworkInterfaceId"],
                    card["SubnetId"],
                    subnet["AvailabilityZone"],
                    frozenset(groups),
                    card.get("Association", {}).get("PublicIp"),
                    not card["SourceDestCheck"],
                )
            )
        return sorted(found, key=lambda it: (it.name, it.zone, IPv4Address(it.address)))

    def group_name(self, group: str) -> str:
        return str(self.groups[group]["GroupName"]).removeprefix(f"{self.name}-")

    def peer_name(self, peer: str) -> str:
        """A rule's peer: a group's name, whose addresses a list has, or a range."""
        if peer in self.groups:
            return self.group_name(peer)
        return list_name(self.aws, peer) if peer.startswith("pl-") else peer

    @cached_property
    def outsiders(self) -> list[Host]:
        """One host for each range outside that a rule or a route names, and one for the rest."""
        lists = {it for it in self._peers() if it.startswith("pl-")}
        hosts = [Host(list_name(self.aws, it), _first(self.lists[it][0])) for it in sorted(lists)]
        ranges = {
            it
            for it in self._peers()
            if is_range(it) and ":" not in it and it not in ANYONE and not self._inside(it)
        }
        hosts += [Host(f"{ALLOWED} {it}", _first(it)) for it in sorted(ranges)]
        named = [*ranges, *self.networks, *(it for each in self.lists.values() for it in each)]
        return [*hosts, Host(INTERNET, unnamed(named))]

    @property
    def hosts(self) -> list[Host]:
        return [*self.interfaces, *self.outsiders]

    @property
    def sources(self) -> list[Host]:
        """Everybody who may begin: S3 only answers."""
        return [it for it in self.hosts if it.name != S3]

    @property
    def targets(self) -> list[Host]:
        """Whom they may try. Of those outside, one for what has its own way, and one for all."""
        return [*self.interfaces, *(it for it in self.outsiders if it.name in (S3, INTERNET))]

    def _peers(self) -> Iterator[str]:
        paths = "[].[IpRanges[].CidrIp, PrefixListIds[].PrefixListId][][]"
        for group in self.groups.values():
            for way in ("IpPermissions", "IpPermissionsEgress"):
                yield from jmespath.search(paths, group[way])
        yield from (it["CidrBlock"] for it in self._entries() if "CidrBlock" in it)
        tables = self.aws.ec2.route_tables
        yield from jmespath.search("[].Routes[].DestinationPrefixListId", tables)

    def _entries(self) -> Iterator[Resource]:
        for acl in self.aws.ec2.network_acls:
            yield from acl["Entries"]

    def _inside(self, peer: str) -> bool:
        return any(IPv4Network(peer).subnet_of(IPv4Network(it)) for it in self.networks)

    @cached_property
    def lists(self) -> dict[str, list[str]]:
        """The ranges of each list of addresses that a rule or a route names."""
        named = {it for it in self._peers() if it.startswith("pl-")}
        return {it: self._entries_of(it) for it in named}

    def _entries_of(self, prefix_list: str) -> list[str]:
        call = "get_managed_prefix_list_entries"
        return [it["Cidr"] for it in self.aws.ec2.all(call, "Entries", PrefixListId=prefix_list)]

    def ranges(self, peer: str) -> list[str]:
        """The IPv4 ranges that a range or a list of addresses names."""
        found = self.lists[peer] if peer.startswith("pl-") else [peer]
        return [it for it in found if ":" not in it]

    def entries(self, subnet: str, *, egress: bool) -> list[Resource]:
        """A subnet's network ACL one way, IPv4, in the order of evaluation."""
        every = self.aws.ec2.network_acls
        [acl] = [it for it in every if any(a["SubnetId"] == subnet for a in it["Associations"])]
        entries = [it for it in acl["Entries"] if it["Egress"] == egress and "CidrBlock" in it]
        return sorted(entries, key=lambda it: int(it["RuleNumber"]))

    def routes(self, subnet: str) -> list[Resource]:
        return self.aws.ec2.routes(subnet)

    @cached_property
    def origins(self) -> list[Host]:
        """The load balancers' interfaces that CloudFront reaches inside the network."""
        path = "[].VpcOriginEndpointConfig.Arn"
        return self._of_balancers(jmespath.search(path, self.aws.cloudfront.vpc_origins))

    @property
    def balancers(self) -> list[Host]:
        """The load balancer's interfaces."""
        return self._of_balancers([self.aws.elbv2.load_balancer["LoadBalancerArn"]])

    def _of_balancers(self, arns: list[str]) -> list[Host]:
        # An interface's description names its load balancer (ELB's user guide, "IP addresses").
        return self._described({f"ELB {arn.partition(':loadbalancer/')[2]}" for arn in arns})

    @property
    def databases(self) -> list[Host]:
        """The database's interfaces, that of the zone in which it is first."""
        zone = self.aws.rds.database["AvailabilityZone"]
        return sorted(self._described({"RDSNetworkInterface"}), key=lambda it: it.zone != zone)

    def _described(self, texts: set[str]) -> list[Host]:
        cards = self.aws.ec2.network_interfaces
        chosen = {it["NetworkInterfaceId"] for it in cards if it["Description"] in texts}
        return [it for it in self.interfaces if it.interface in chosen]

    def secret(self, name: str, key: str) -> str:
        """One value of a secret's JSON; the secret is named, or given by its ARN."""
        answer = self.aws.client("secretsmanager").get_secret_value(SecretId=name)
        return str(json.loads(answer["SecretString"])[key])

    @cached_property
    def flow_log(self) -> Resource:
        logs = self.aws.ec2.flow_logs
        if len(logs) != 1:
            raise NotFound(f"one flow log of the network (found: {len(logs)})")
        return logs[0]

    def ports(self, protocol: str) -> list[range]:
        """All ports, parted where a rule begins or ends: in one part rules treat all alike."""
        starts = {1}
        for span in self._spans(protocol):
            starts |= {span.start, span.stop}
        ordered = sorted(it for it in starts if 1 <= it <= LAST_PORT)
        ends = [*ordered[1:], LAST_PORT + 1]
        return [range(*it) for it in zip(ordered, ends, strict=True)]

    def _spans(self, protocol: str) -> Iterator[range]:
        spelled = (protocol, NUMBERS[protocol])
        for group in self.groups.values():
            for it in (*group["IpPermissions"], *group["IpPermissionsEgress"]):
                if it["IpProtocol"] in spelled:
                    yield range(it["FromPort"], it["ToPort"] + 1)
        for entry in self._entries():
            if entry["Protocol"] in spelled and (span := entry.get("PortRange")):
                yield range(span["From"], span["To"] + 1)


def _first(network: str) -> str:
    """An address of a range."""
    return str(next(iter(IPv4Network(network).hosts())))


def unnamed(named: Iterable[str]) -> str:
    """An address that no range names: the least of documentation's first (RFC 5737), or above."""
    ranges = sorted((IPv4Network(it) for it in named if ":" not in it), key=lambda it: it[0])
    address = IPv4Address("192.0.2.1")
    for it in ranges:
        if address in it:
            address = it[-1] + 1
    return str(address)
