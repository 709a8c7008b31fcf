"""Networks of their own: one for each machine, and that of everything they talk to.

    this test  --  cloud (routes; the emulator, the metadata service, PostgreSQL)  --  each guest

There is no way from a guest to anything else. As the routes of the profile small have it, what a
private subnet sends to this test is led by the bastion, and so is what this test sends there.
"""

import contextlib
import ipaddress
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.programs import need

# Where every machine on AWS finds its metadata and the credentials of its role.
METADATA = "169.254.169.254"
GUESTS = ("adder", "bastion")
PRIVATE = "private"


@dataclass(frozen=True)
class Place:
    """A guest's namespace, and its address as the test sees it."""

    namespace: str
    address: str


@dataclass(frozen=True)
class Network:
    """The cloud's namespace and address, and where each guest is."""

    cloud: str
    cloud_address: str
    # This test's own, which is outside of all.
    outside_address: str
    guests: dict[str, Place]
    private: Place

    @property
    def private_subnet(self) -> str:
        return f"{ipaddress.ip_network(f'{self.private.address}/30', strict=False)}"

    def in_private(self, *command: str) -> list[str]:
        """Give the command that runs this one in the private subnet."""
        return ["ip", "netns", "exec", self.private.namespace, *command]

    def in_cloud(self, *command: str) -> list[str]:
        """Give the command that runs this one in the cloud's namespace."""
        return ["ip", "netns", "exec", self.cloud, *command]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make all; on leaving, with the processes in them ended, nothing stays.

    Skips the test where none can be made.
    """
    if os.geteuid() != 0:
        pytest.skip("only root makes a network namespace")
    need("ip")
    number = os.getpid()
    # Sixteen addresses, other ones for tests that run at the same time, from the 2^17 that are set
    # aside for tests between networks (RFC 2544). Each link has four of them.
    first = ipaddress.IPv4Address("198.18.0.0") + 16 * (number % (1 << 13))
    places = {
        name: Place(f"tally-{name}-{number}", f"{first + 4 * link + 2}")
        for link, name in enumerate((*GUESTS, PRIVATE), 1)
    }
    made = Network(
        cloud=f"tally-cloud-{number}",
        cloud_address=f"{first + 2}",
        outside_address=f"{first + 1}",
        guests={name: places[name] for name in GUESTS},
        private=places[PRIVATE],
    )
    outside, inside = f"tally{number}", "test"
    with contextlib.ExitStack() as stack:
        for name in (made.cloud, *(place.namespace for place in places.values())):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", made.cloud)
        # Gone at once; a namespace's own links go some time after it.
        stack.callback(ip, "link", "delete", outside)
        ip("address", "add", f"{first + 1}/30", "dev", outside)
        ip("link", "set", outside, "up")

        cloud = ("-netns", made.cloud)
        ip(*cloud, "address", "add", f"{made.cloud_address}/30", "dev", inside)
        ip(*cloud, "address", "add", f"{METADATA}/32", "dev", "lo")
        for link in ("lo", inside):
            ip(*cloud, "link", "set", link, "up")
        forward = made.in_cloud("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")
        subprocess.run(forward, check=True)

        for name, place in places.items():
            guest = ("-netns", place.namespace)
            router = f"{ipaddress.IPv4Address(place.address) - 1}"
            ip(*cloud, "link", "add", name, "type", "veth", "peer", "name", "eth0")
            ip(*cloud, "link", "set", "eth0", "netns", place.namespace)
            ip(*cloud, "address", "add", f"{router}/30", "dev", name)
            ip(*cloud, "link", "set", name, "up")
            ip(*guest, "address", "add", f"{place.address}/30", "dev", "eth0")
            ip(*guest, "link", "set", "lo", "up")
            ip(*guest, "link", "set", "eth0", "up")
            ip(*guest, "route", "add", "default", "via", router)
            ip("route", "add", place.address, "via", made.cloud_address)
        bastion = made.guests["bastion"].address
        for table, (came_by, to) in enumerate(
            ((PRIVATE, made.outside_address), (inside, made.private.address)), 100
        ):
            ip(*cloud, "rule", "add", "iif", came_by, "to", to, "lookup", f"{table}")
            ip(*cloud, "route", "add", to, "via", bastion, "dev", "bastion", "table", f"{table}")
        yield made
