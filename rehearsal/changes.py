"""Changes of the security groups, in the account; each lasts for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rehearsal.found import Found
from rehearsal.outcome import Cell
from tally.aws.inventory.resources import Resource
from tally.aws.security_groups import openings, show

_WAYS: Final = {"IpPermissions": "ingress", "IpPermissionsEgress": "egress"}
_PORTS: Final = ("IpProtocol", "FromPort", "ToPort")
_PEERS: Final = ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds")


@dataclass(frozen=True)
class Rule:
    """One rule of a group: what EC2 calls a permission, with a single peer."""

    name: str
    group: str
    way: str
    permission: Resource

    def add(self, found: Found) -> None:
        self._call(found, "authorize")

    def remove(self, found: Found) -> None:
        self._call(found, "revoke")

    def _call(self, found: Found, verb: str) -> None:
        call = getattr(found.aws.ec2.client, f"{verb}_security_group_{self.way}")
        call(GroupId=self.group, IpPermissions=[self.permission])


def rules(found: Found) -> Iterator[Rule]:
    """Every rule of every group."""
    for group, resource in found.groups.items():
        for key, way in _WAYS.items():
            for permission in resource[key]:
                for peers in _PEERS:
                    for peer in permission.get(peers, []):
                        ports = {it: permission[it] for it in _PORTS if it in permission}
                        single = {**ports, peers: [peer]}
                        [opening] = openings([single])
                        shown = f"{found.peer_name(opening.peer)} on {show(opening)}"
                        name = f"{found.group_name(group)}, {way}: {shown}"
                        yield Rule(name, group, way, single)


@contextmanager
def removed(found: Found, rule: Rule) -> Iterator[None]:
    """Do without a rule for a while."""
    rule.remove(found)
    try:
        yield
    finally:
        rule.add(found)


@contextmanager
def opened(found: Found, cell: Cell) -> Iterator[None]:
    """Let a cell's source reach its target, in one group of each."""
    source, target = min(cell.source.groups), min(cell.target.groups)
    ports = {"IpProtocol": cell.protocol, "FromPort": cell.ports[0], "ToPort": cell.port}
    both = [
        Rule("", group, way, {**ports, "UserIdGroupPairs": [{"GroupId": peer}]})
        for group, way, peer in ((source, "egress", target), (target, "ingress", source))
    ]
    for rule in both:
        rule.add(found)
    try:
        yield
    finally:
        for rule in both:
            rule.remove(found)
