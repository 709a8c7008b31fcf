"""nftables rulesets, compiled from groups, network ACLs and public addresses as found.

A group's rules hold in the interface's own namespace and keep state; a network ACL's hold in the
router, and keep none. What they drop goes to NFLOG, with what refused it as prefix.
"""

from collections.abc import Iterable, Iterator

from rehearsal.found import PROTOCOLS, Found, Host
from tally.aws.inventory.resources import Resource
from tally.aws.security_groups import ALL_PORTS, ANYONE, Opening, is_range, openings

LOG_GROUP = 1
# In the router: where what has no route goes, and the way to the internet gateway; in the gateway,
# the way back.
NOWHERE, GATEWAY, NETWORK = "nowhere", "gateway", "network"


def _drop(prefix: str) -> str:
    # Each packet is told of at once, and not a hundred together.
    return f'log prefix "{prefix}" group {LOG_GROUP} queue-threshold 1 drop'


def _ruleset(table: str, chains: dict[str, list[str]]) -> str:
    lines = [f"table ip {table}", f"delete table ip {table}", f"table ip {table} {{"]
    for chain, rules in chains.items():
        lines += [f"chain {chain} {{", *rules, "}"]
    return "\n".join([*lines, "}\n"])


def of_interface(found: Found, host: Host) -> str:
    """The rules of an interface's groups."""
    chains = {}
    for chain, hook, way, side in (
        ("inbound", "prerouting", "IpPermissions", "saddr"),
        ("outbound", "postrouting", "IpPermissionsEgress", "daddr"),
    ):
        prefix = "GROUP_IN" if way == "IpPermissions" else "GROUP_OUT"
        chains[chain] = [
            f"type filter hook {hook} priority mangle;",
            f"meta {'iif' if side == 'saddr' else 'oif'} lo accept",
            "ct state established,related accept",
            *(
                f"{_peer(found, it, side)} {_ports(it)} accept"
                for group in sorted(host.groups)
                for it in openings(found.groups[group][way])
                if _addresses(found, it)
            ),
            _drop(prefix),
        ]
    return _ruleset("groups", chains)


def _peer(found: Found, opening: Opening, side: str) -> str:
    if opening.peer in ANYONE:
        return ""
    return f"ip {side} {{ {', '.join(_addresses(found, opening))} }}"


def _addresses(found: Found, opening: Opening) -> list[str]:
    """A peer's ranges, or the addresses of all interfaces with that group."""
    if is_range(opening.peer) or opening.peer.startswith("pl-"):
        return found.ranges(opening.peer)
    return [it.address for it in found.interfaces if opening.peer in it.groups]


def _ports(opening: Opening) -> str:
    protocol = PROTOCOLS.get(opening.protocol, opening.protocol)
    if protocol == "-1":
        return ""
    if opening.ports == ALL_PORTS:
        return f"meta l4proto {protocol}"
    return f"{protocol} dport {opening.ports.start}-{opening.ports.stop - 1}"


def of_router(found: Found, links: dict[Host, str]) -> str:
    """The network ACLs of all subnets: what crosses a border is looked at on both sides."""
    out, into, chains = [], [], {}
    for number, subnet in enumerate(sorted({it.subnet for it in found.interfaces})):
        inside = ", ".join(links[it] for it in found.interfaces if it.subnet == subnet)
        network = found.aws.ec2.subnets[subnet]["CidrBlock"]
        out.append(f"iifname {{ {inside} }} ip daddr != {network} jump out{number}")
        into.append(f"oifname {{ {inside} }} ip saddr != {network} jump in{number}")
        entries = found.entries(subnet, egress=True)
        chains[f"out{number}"] = [*_entries(entries, "daddr", "ACL_OUT"), _drop("ACL_OUT")]
        entries = found.entries(subnet, egress=False)
        chains[f"in{number}"] = [*_entries(entries, "saddr", "ACL_IN"), _drop("ACL_IN")]
    nowhere = f"oifname {NOWHERE} {_drop('ROUTE')}"
    chains["leaves"] = ["type filter hook prerouting priority raw;", *out]
    chains["enters"] = ["type filter hook forward priority filter;", nowhere, *into]
    return _ruleset("acls", chains)


def _entries(entries: Iterable[Resource], side: str, prefix: str) -> Iterator[str]:
    for entry in entries:
        match = "" if entry["CidrBlock"] in ANYONE else f"ip {side} {entry['CidrBlock']}"
        if entry["Protocol"] != "-1":
            match += f" meta l4proto {entry['Protocol']}"
            if span := entry.get("PortRange"):
                match += f" th dport {span['From']}-{span['To']}"
        yield f"{match} {'return' if entry['RuleAction'] == 'allow' else _drop(prefix)}"


def of_gateway(found: Found) -> str:
    """The internet gateway: an interface without a public address has no way through it."""
    public = {it.public: it.address for it in found.interfaces if it.public}
    rules = ["type filter hook prerouting priority raw;"]
    for link, side, known in (
        (f"iifname {NETWORK}", "saddr", {private: it for it, private in public.items()}),
        (f"iifname != {NETWORK}", "daddr", public),
    ):
        if known:
            pairs = ", ".join(f"{one} : {other}" for one, other in known.items())
            rules.append(f"{link} ip {side} != {{ {', '.join(known)} }} {_drop('ROUTE')}")
            rules.append(f"{link} ip {side} set ip {side} map {{ {pairs} }}")
        else:
            rules.append(f"{link} {_drop('ROUTE')}")
    return _ruleset("addresses", {"translate": rules})
