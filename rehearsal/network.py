"""The network: a namespace for each host, for the router between them, for the internet gateway.

The router forwards by the route table of the subnet that a packet comes from. What has no route
goes to a link that leads nowhere, so that the attempt learns of it.
"""

from ipaddress import IPv4Address, IPv4Network

from rehearsal import filters
from rehearsal.filters import GATEWAY, NETWORK, NOWHERE
from rehearsal.found import Found, Host
from rehearsal.namespaces import Namespace
from tally.aws.inventory.resources import Resource
from tally.aws.reachability import CLOUDFRONT, INTERNET, S3

# What each is called as a next hop, on all its links (RFC 3927: never forwarded). Not the same for
# both: nobody answers who asks, by ARP, in its own name.
_ROUTER, _GATEWAY = "169.254.0.1", "169.254.0.2"
_FIRST_TABLE = 100


class Network:
    """What stands. Close it, or end the process."""

    def __init__(self, found: Found) -> None:
        self.hosts: dict[Host, Namespace] = {}
        self.router, self.gateway = Namespace(), Namespace()
        self._links: dict[Host, str] = {}
        self._commands: dict[Namespace, list[str]] = {}
        self._filters: dict[Namespace, str] = {}
        try:
            self._build(found)
            self.follow(found)
        except BaseException:
            self.close()
            raise

    @property
    def namespaces(self) -> list[Namespace]:
        return [self.router, self.gateway, *self.hosts.values()]

    def close(self) -> None:
        for it in self.namespaces:
            it.close()

    def cut(self, host: Host) -> None:
        """Let nothing to or from an interface through any more."""
        self.router.run("ip", "-batch", "-", given=f"link set {self._links[host]} down\n")

    def follow(self, found: Found) -> None:
        """Let the filters be those of what is found now; interfaces and routes stay."""
        wanted = {
            self.router: filters.of_router(found, self._links),
            self.gateway: filters.of_gateway(found),
            **{self.hosts[it]: filters.of_interface(found, it) for it in found.interfaces},
        }
        for namespace, text in wanted.items():
            if self._filters.get(namespace) != text:
                namespace.run("nft", "-f", "-", given=text)
                self._filters[namespace] = text

    def _build(self, found: Found) -> None:
        for it in (self.router, self.gateway):
            it.set(ip_forward=1, conf__all__rp_filter=0, conf__default__rp_filter=0)
        # The router's commands come first: they make the ends of links that the others set up.
        self._commands[self.router] = [
            f"link add {NOWHERE} type veth peer name {NOWHERE}-end",
            f"link set {NOWHERE} up",
            f"link set {NOWHERE}-end up",
            f"route add default dev {NOWHERE}",
            f"link add {GATEWAY} type veth peer name {NETWORK} netns {self.gateway.path}",
            f"addr add {_ROUTER}/32 dev {GATEWAY}",
            f"link set {GATEWAY} up",
        ]
        self._commands[self.gateway] = [
            f"addr add {_GATEWAY}/32 dev {NETWORK}",
            f"link set {NETWORK} up",
            *(f"route add {it} via {_ROUTER} dev {NETWORK} onlink" for it in found.networks),
        ]
        for number, host in enumerate(found.hosts):
            self._add(found, f"host{number}", host)
        for number, subnet in enumerate(sorted({it.subnet for it in found.interfaces})):
            self._route(found, _FIRST_TABLE + number, subnet)
        for namespace, lines in self._commands.items():
            namespace.run("ip", "-batch", "-", given="\n".join([*lines, ""]))

    def _add(self, found: Found, link: str, host: Host) -> None:
        namespace = self.hosts[host] = Namespace()
        # What it answers is given up with the attempt.
        namespace.set(tcp_synack_retries=0, conf__all__rp_filter=0, conf__default__rp_filter=0)
        lines = self._commands[namespace] = ["link set lo up"]
        router, hop = (self.gateway, _GATEWAY) if host.outside else (self.router, _ROUTER)
        self._join(router, hop, link, host, "eth0")
        lines.append(f"route add default via {hop} dev eth0 onlink")
        if host.name == INTERNET:
            towards = f"route add default via {host.address} dev {link} onlink"
            self._commands[self.gateway].append(towards)
        if host.name in (S3, CLOUDFRONT):
            self._join(self.router, _ROUTER, link, host, "eth1")
            # An endpoint's service answers the network; an origin reaches its load balancer.
            origins = [it.address for it in found.origins]
            inside = origins if host.name == CLOUDFRONT else found.networks
            lines += [f"route add {it} via {_ROUTER} dev eth1 onlink" for it in inside]

    def _join(self, router: Namespace, hop: str, link: str, host: Host, end: str) -> None:
        """A link from a router to a host, and the way there."""
        namespace = self.hosts[host]
        if router is self.router:
            self._links[host] = link
        self._commands[router] += [
            f"link add {link} type veth peer name {end} netns {namespace.path}",
            f"addr add {hop}/32 dev {link}",
            f"link set {link} up",
            f"route add {host.address} dev {link}",
        ]
        self._commands[namespace] += [
            f"addr add {host.address}/32 dev {end}",
            f"link set {end} up",
        ]

    def _route(self, found: Found, table: int, subnet: str) -> None:
        """A subnet's route table, for what comes from its interfaces."""
        lines = [f"route add default dev {NOWHERE} metric 9 table {table}"]
        for route in found.routes(subnet):
            towards = route.get("DestinationCidrBlock") or route.get("DestinationPrefixListId")
            for it in found.ranges(towards) if towards else ():
                lines += [f"route add {way} table {table}" for way in self._ways(found, it, route)]
        inside = [it for it in found.interfaces if it.subnet == subnet]
        lines += [f"rule add iif {self._links[it]} lookup {table}" for it in inside]
        if set(inside) & set(found.origins):
            [origin] = [it for it in found.outsiders if it.name == CLOUDFRONT]
            lines.append(f"route add {origin.address} dev {self._links[origin]} table {table}")
        self._commands[self.router] += lines

    def _ways(self, found: Found, network: str, route: Resource) -> list[str]:
        gateway = str(route.get("GatewayId", ""))
        if gateway == "local":
            here = IPv4Network(network)
            inside = [it for it in found.interfaces if IPv4Address(it.address) in here]
            return [f"{it.address} dev {self._links[it]}" for it in inside]
        if gateway.startswith("igw-"):
            return [f"{network} via {_GATEWAY} dev {GATEWAY} onlink"]
        if gateway.startswith("vpce-"):
            [service] = [it for it in found.outsiders if it.name == S3]
            return [f"{network} via {service.address} dev {self._links[service]} onlink"]
        raise NotImplementedError(f"a route that is not rehearsed yet: {route}")
